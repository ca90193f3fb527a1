// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"github.com/vernegate/vernegate/proxy/websocket"
)

// A Role is what a listener is for; Config.Admit decides by it which owners are welcome.
type Role uint8

// The roles of listeners.
const (
	Devices    Role = iota // owners are devices and services
	Services               // owners are services; see Config.Admit
	WebSockets             // like Devices, by WebSocket

	endOfRoles
)

// Roles returns every role there is.
func Roles() []Role { return []Role{Devices, Services, WebSockets} }

// String returns the name in logs and metrics.
func (r Role) String() string {
	switch r {
	case Services:
		return "services"
	case WebSockets:
		return "websocket"
	}
	return "devices"
}

// A Protocol is what is spoken over TLS on a listener.
type Protocol uint8

// The protocols.
const (
	MQTT      Protocol = iota // whatever the client names by ALPN
	WebSocket                 // MQTT over it. Clients that name protocols have to name "http/1.1"
	ByALPN                    // the client chooses: see protocolNames

	endOfProtocols
)

// Config is what a Server needs. It must not be changed once given to New.
type Config struct {
	// Trust returns what handshakes are to believe in from now on. It is called at the beginning and at the
	// end of every handshake, from many goroutines, and never returns nil.
	Trust func() Trust
	// Owner finds the owner of a certificate, beside the reading of the CONNECT, and again for live sessions.
	Owner OwnerFunc
	// Authorize runs beside Owner for newcomers, and again for live sessions at the times that it says; nil = what the Trust
	// accepts is welcome.
	Authorize AuthorizeFunc
	// Service reports whether an owner is a service, and not a device; nil = if it has no colon, as dojot's devices are
	// "tenant:device". It is called from many goroutines.
	Service func(owner string) bool
	// Admit decides which owners may use which listeners; nil = devices may not use those for services.
	Admit AdmitFunc
	// Lease returns a lease of the brokers for a session of this owner's client with that id, "" for none. It is called
	// for clients that are welcome, from many goroutines.
	Lease func(owner, clientID string) Lease
	// TLS narrows what is negotiated; the zero value is Go's policy from TLS 1.2 on.
	TLS TLSPolicy

	// WebSocket is what clients may ask for on listeners with that protocol; the zero value has no path that a client could
	// ask for.
	WebSocket websocket.Endpoint

	// ProxyProtocolFrom are the proxies before this one. A connection from them has to begin with a PROXY
	// header, version 1 or 2, which says who the client is; from anywhere else such a header is refused.
	ProxyProtocolFrom []netip.Prefix
	// BackendProxyProtocol is the version of the PROXY header, 1 or 2, that tells brokers who the client is;
	// 0 = none. Brokers that do not expect one take it for garbage, those that do want it from everybody.
	BackendProxyProtocol byte

	// BackendTLS returns what TLS with the broker at this address is to be like, of the brokers that a Lease has named;
	// nil = brokers are spoken to in plain TCP. It is called for each connection, from many goroutines.
	BackendTLS func(addr string) *tls.Config

	// ClientID says which client ids each owner may use; the zero value is any.
	ClientID ClientIDPolicy
	// StripPassword keeps the passwords of clients from brokers.
	StripPassword bool

	HandshakeTimeout time.Duration // for a PROXY header and the TLS handshake together; 0 = 10 s
	ConnectTimeout   time.Duration // from the handshake, or the upgrade, to the last byte of CONNECT, and for the upgrade; 0 = 5 s
	DialTimeout      time.Duration // for each broker tried; 0 = 5 s
	ConnackTimeout   time.Duration // for each broker tried; 0 = 5 s. All of them have the sum of the two

	// MaxRecord is how many bytes a TLS record to a client holds at most, up to 16 KiB; 0 = 16 KiB. Records of the
	// handshake are not bounded by it.
	MaxRecord int
	// MaxConnectSize bounds a CONNECT, in bytes with its fixed header; 0 = 256 KiB.
	MaxConnectSize int
	// MaxDescriptors is how many file descriptors connections may use: one for each client and one more for
	// its broker; 0 = no limit. Beyond it, clients wait in the kernel's backlog.
	MaxDescriptors int

	// MaxLifetime ends the sessions of devices, give or take a tenth; 0 = never.
	MaxLifetime time.Duration
	// Recheck is how often the owner of each certificate with live sessions is asked for, and Authorize asked that has named
	// no time; 0 = never.
	Recheck time.Duration

	// ServerReference is where MQTT 5.0 clients are sent by Drain and Shutdown, as one or more "host:port" with
	// blanks between them (5.0, 4.11); "" = nowhere.
	ServerReference string

	// MaxConnections is how many sessions there may be, counted from before the broker is dialed;
	// MaxConnectionsPerOwner is the same for each owner. A client too many is told so in its CONNACK.
	MaxConnections         int // 0 = no limit
	MaxConnectionsPerOwner int // 0 = no limit
	// MaxConnectionsPerIP is how many connections there may be from an IPv4 address or from a /64 of IPv6
	// addresses, whatever has become of them. One too many is closed before the handshake.
	MaxConnectionsPerIP int // 0 = no limit
	// MaxHandshakes is how many connections there may be that are not through their handshake. A usual one takes
	// some 30 kB, and none more than 128 KiB. One more closes the one whose client has let it wait for longest.
	MaxHandshakes int // 0 = no limit
	// HandshakeRate is how many handshakes may begin in a second; as many may begin at once after a quiet
	// second. Others wait in turn, and are closed when that would take longer than HandshakeTimeout.
	HandshakeRate int // 0 = no limit

	Metrics *Metrics     // nil = none
	Logger  *slog.Logger // nil = discard

	// Audit takes the lines of connections whose end was forced (see Reason.Forced); the others go to
	// Logger. nil = Logger.
	Audit *slog.Logger
	// LogRate is how many lines there may be in a second, for each Reason, about connections that did not become
	// sessions; a line in Audit counts those that were left out. 0 = no limit.
	LogRate int
	// CountForced is called for each of the same endings, and OnForced with those whose lines are not left out, by the
	// goroutine of the connection. They have to return soon. nil = it is not called.
	CountForced func(Reason)
	OnForced    func(SessionInfo)
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.HandshakeTimeout, 10 * time.Second},
		{&c.ConnectTimeout, 5 * time.Second},
		{&c.DialTimeout, 5 * time.Second},
		{&c.ConnackTimeout, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = 16 << 10
	}
	if c.MaxConnectSize == 0 {
		c.MaxConnectSize = 256 << 10
	}
	if c.Service == nil {
		c.Service = hasNoColon
	}
	if c.Admit == nil {
		c.Admit = admitServices(c.Service)
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Audit == nil {
		c.Audit = c.Logger
	}
}
