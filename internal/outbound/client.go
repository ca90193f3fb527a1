// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package outbound calls HTTP servers whose addresses strangers may have chosen: a
// certificate says where the revocation list of its CA is, and where its status can be
// asked for. It calls only hosts that the operator has named, never follows a server
// elsewhere, and reads no more than it was told to.
package outbound

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"syscall"
	"time"
)

// Errors of requests, each in a *url.Error, and of LimitBody.
var (
	// ErrHost: the host is not one that may be called.
	ErrHost = errors.New("the host is not allowed")

	// ErrAddress: the host is below an allowed domain, but its address is one that no
	// public server has, such as that of a cloud's metadata service.
	ErrAddress = errors.New("the address is one of this machine or this link, and the host is not named by itself")

	// ErrRedirect: the server sends to another place.
	ErrRedirect = errors.New("a redirect to another host, or away from https, is not followed")

	// ErrTooLarge: the body of the answer is larger than it may be.
	ErrTooLarge = errors.New("the answer is too large")
)

const (
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 32 << 10

	// maxRedirects bounds how often a server may send to another of its own paths.
	maxRedirects = 3

	// idlePerHost is how many connections to a server are kept for the next request, unless configured.
	idlePerHost = 2

	idleTimeout = 90 * time.Second
)

// Config says whom a client may call and how long it waits.
type Config struct {
	Hosts Hosts
	Proxy Proxy

	// Timeout is how long each step up to the header of the answer may take: to
	// connect, to shake hands, and to answer. The body is bounded by the context of
	// the request. Zero is no limit.
	Timeout time.Duration

	// IdlePerHost is how many connections to a server are kept for the next request. Zero is 2.
	IdlePerHost int

	// TLS returns the configuration for https; nil, as itself and as its result, is Go's, with the CAs of the
	// system. It is asked for each request, and a request under another configuration than the one before
	// goes over new connections.
	TLS func() *tls.Config
}

// NewClient returns a client that calls the hosts of the configuration alone, by http
// and https. Its CloseIdleConnections should be called when it is not needed any more.
//
// A host that is only allowed by its domain must not have an address of this machine or
// link: whoever writes into that domain's DNS could have us ask a metadata service.
// That is not checked behind a proxy, which does the resolving.
func NewClient(c Config) *http.Client {
	return &http.Client{Transport: &guard{config: c}, CheckRedirect: checkRedirect}
}

// transports are what makes requests under one configuration of TLS.
type transports struct {
	tls    *tls.Config
	named  *http.Transport // to hosts that the operator named, and to a proxy
	public *http.Transport // to hosts of which they named the domain, without a proxy
}

func (c *Config) transports(config *tls.Config) *transports {
	dialer := &net.Dialer{Timeout: c.Timeout}
	transport := &http.Transport{
		Proxy:                  c.Proxy.of(),
		DialContext:            dialer.DialContext,
		TLSClientConfig:        config.Clone(),
		TLSHandshakeTimeout:    c.Timeout,
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    cmp.Or(c.IdlePerHost, idlePerHost),
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true, // what is small on the wire must not be large in memory
		ForceAttemptHTTP2:      true,
	}
	public := transport.Clone()
	public.DialContext = (&net.Dialer{Timeout: c.Timeout, ControlContext: publicOnly}).DialContext
	return &transports{config, transport, public}
}

func (t *transports) closeIdleConnections() {
	t.named.CloseIdleConnections()
	t.public.CloseIdleConnections()
}

// guard looks at every request before it leaves, also those of redirects.
type guard struct {
	config Config

	mu      sync.Mutex
	current *transports // nil before the first request
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	p, ok := g.config.Hosts.match(req.URL)
	switch {
	case !ok:
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, fmt.Errorf("%w: %s://%s", ErrHost, req.URL.Scheme, req.URL.Host)
	case p.wildcard && !g.config.Proxy.takes(req):
		return g.transports().public.RoundTrip(req)
	}
	return g.transports().named.RoundTrip(req)
}

// transports returns what makes requests with the configuration of TLS of now.
func (g *guard) transports() *transports {
	var config *tls.Config
	if g.config.TLS != nil {
		config = g.config.TLS()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current == nil || g.current.tls != config {
		if g.current != nil {
			g.current.closeIdleConnections() // those in use end with their requests
		}
		g.current = g.config.transports(config)
	}
	return g.current
}

func (g *guard) CloseIdleConnections() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current != nil {
		g.current.closeIdleConnections()
	}
}

// checkRedirect follows a server to another of its own paths, and from http to https.
func checkRedirect(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	samePort := portOf(from) == portOf(req.URL) || isUpgrade(from, req.URL)
	if normal(from.Hostname()) != normal(req.URL.Hostname()) || !samePort || from.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: to %s://%s", ErrRedirect, req.URL.Scheme, req.URL.Host)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("the server redirects more than %d times", maxRedirects)
	}
	return nil
}

// isUpgrade reports whether a redirect goes from http to https, each at its usual port.
func isUpgrade(from, to *url.URL) bool {
	return from.Scheme == "http" && portOf(from) == "80" && to.Scheme == "https" && portOf(to) == "443"
}

// publicOnly refuses to dial addresses that no public server has. It sees the address
// that the name was resolved to.
func publicOnly(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := embedded(ap.Addr().Unmap().WithZone(""))
	if ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || isMetadata(ip) {
		return fmt.Errorf("%w: %v", ErrAddress, ip)
	}
	return nil
}

// nat64 is what a network that has IPv6 alone puts before the addresses of IPv4 (RFC 6052 §2.1), and v4Compatible what
// systems once did (RFC 4291 §2.5.5.1).
var (
	nat64        = netip.MustParsePrefix("64:ff9b::/96")
	v4Compatible = netip.MustParsePrefix("::/96")
)

// embedded returns the IPv4 address that an IPv6 address leads to, or the address itself if it leads to none.
func embedded(ip netip.Addr) netip.Addr {
	if ip.IsUnspecified() || ip.IsLoopback() || !nat64.Contains(ip) && !v4Compatible.Contains(ip) {
		return ip
	}
	b := ip.As16()
	return netip.AddrFrom4([4]byte(b[12:]))
}

// isMetadata reports whether a cloud's metadata service is at an address that is not of the link: of AWS, Google Cloud and
// Oracle Cloud over IPv6, of Alibaba Cloud, and of Azure.
func isMetadata(ip netip.Addr) bool {
	switch ip.String() {
	case "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "100.100.100.200", "168.63.129.16":
		return true
	}
	return false
}

// LimitBody returns a reader of the body of an answer that fails with ErrTooLarge once
// more than limit bytes come, or at once if the server announces more.
func LimitBody(resp *http.Response, limit int64) io.Reader {
	return &limited{resp.Body, resp.ContentLength, limit, limit}
}

type limited struct {
	body            io.Reader
	announced       int64 // -1 is unknown
	left, wholeSize int64
}

func (l *limited) Read(b []byte) (int, error) {
	if l.announced > l.wholeSize {
		return 0, fmt.Errorf("%w: %d bytes, more than %d", ErrTooLarge, l.announced, l.wholeSize)
	}
	if int64(len(b)) > l.left+1 { // one more, to see whether there is one
		b = b[:l.left+1]
	}
	n, err := l.body.Read(b)
	if int64(n) > l.left {
		n, err = int(l.left), fmt.Errorf("%w: more than %d bytes", ErrTooLarge, l.wholeSize)
	}
	l.left -= int64(n)
	return n, err
}
