// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// A SessionInfo is what is known of a connection at one moment: of a live session, or at the end. What was never
// learned is zero. Every text that came from outside is bounded and escaped like in the log, so that it can be
// shown as it is; for HTML it still has to be escaped.
//
// The keys of its JSON are those of the log line.
type SessionInfo struct {
	ID       SessionID `json:"id,omitzero"` // 0 = never became a session
	Listener string    `json:"listener"`    // the role of its listener
	Remote   string    `json:"remote"`      // the client's address
	Since    time.Time `json:"since"`       // when it was accepted

	WebSocket bool `json:"websocket,omitempty"` // MQTT comes in its frames

	TLS         string `json:"tls,omitempty"` // "1.2" or "1.3"
	Resumed     bool   `json:"resumed"`
	Fingerprint string `json:"fingerprint,omitempty"` // of the client's certificate, verified or not
	Issuer      string `json:"issuer,omitempty"`
	Serial      string `json:"serial,omitempty"` // in hexadecimal
	Subject     string `json:"subject,omitempty"`
	Verified    bool   `json:"-"` // a chain leads from the certificate to a CA of the bundle

	Owner    string `json:"owner,omitempty"`
	MQTT     string `json:"mqtt,omitempty"` // version
	ClientID string `json:"client_id,omitempty"`
	Backend  string `json:"backend,omitempty"`
	Connack  *uint8 `json:"connack,omitempty"` // what the broker said; nil = nothing

	BytesUp     int64  `json:"bytes_up"` // to the broker, behind the CONNECT
	BytesDown   int64  `json:"bytes_down"`
	PacketsUp   uint64 `json:"packets_up"`
	PacketsDown uint64 `json:"packets_down"`

	// Of one that has ended.
	Ended time.Time `json:"ended,omitzero"`
	// Disconnect is who ended the session with a DISCONNECT packet: "client", "broker", or "none", and then it was lost,
	// or ended by us; "" = there was no session.
	Disconnect string `json:"disconnect,omitempty"`
	Reason     Reason `json:"-"`
	Detail     string `json:"err,omitempty"` // what exactly went wrong
}

// describe tells about a session that is in the registry, to any goroutine, or that has ended, to its own.
func (s *session) describe() SessionInfo {
	c := SessionInfo{
		Listener: s.role.String(),
		Remote:   s.client.RemoteAddr().String(),
		Since:    s.began,
		ID:       s.live.id,

		WebSocket: s.ws != nil,

		Owner:    untrusted.Text(s.owner),
		ClientID: untrusted.Text(s.clientID),
		Backend:  s.backendAddr,
	}
	if s.version != 0 {
		c.MQTT = s.version.String()
	}
	if s.connack.known {
		code := s.connack.code // c may be kept for longer than the session
		c.Connack = &code
	}
	c.BytesUp, c.PacketsUp = s.up.Carried()
	c.BytesDown, c.PacketsDown = s.down.Carried()
	c.describeTLS(s)
	return c
}

// describeEnd tells about a session that has ended, to its own goroutine.
func (s *session) describeEnd() SessionInfo {
	c := s.describe()
	c.Ended, c.Reason = time.Now(), s.reason
	if s.live.id != 0 {
		c.Disconnect = s.disconnect().String()
	}
	c.Verified = c.Verified || s.reason == TLSRevoked || s.reason == TLSCRL // which are found out behind the chain
	if s.err != nil && !s.endedInOrder() {
		c.Detail = untrusted.Text(strings.ReplaceAll(s.err.Error(), "\n", "; ")) // several errors are in one line
	}
	return c
}

// endedInOrder reports whether a session ended as sessions do: one side closed its connection, and that is the reason already.
func (s *session) endedInOrder() bool {
	return s.err == io.EOF && (s.reason == ClientClosed || s.reason == BackendClosed)
}

// describeTLS adds what was negotiated and which certificate the client showed, even one that was refused: its
// fingerprint is what an operator needs to find the device.
func (c *SessionInfo) describeTLS(s *session) {
	cert := s.certificate
	if cert != nil {
		c.TLS, c.Resumed, c.Verified = tlsVersionName(s.tlsVersion), s.resumed, true
	} else {
		cert = c.describeHandshake(s)
	}
	if cert != nil {
		c.Fingerprint = cert.fp.String()
		c.Issuer, c.Serial, c.Subject = cert.issuer, cert.serial, cert.subject
	}
}

// describeHandshake adds what was negotiated with a client that did not become a session, and returns the
// certificate that it showed; nil = none.
func (c *SessionInfo) describeHandshake(s *session) *certificate {
	state := s.tls.ConnectionState()
	if state.HandshakeComplete {
		c.TLS, c.Resumed, c.Verified = tlsVersionName(state.Version), state.DidResume, true
	}
	peer := sentBy(&state, s.err)
	if len(peer) == 0 {
		return nil
	}
	cert := summarize(peer[0])
	cert.fp, cert.issuer = pki.FingerprintOf(peer[0]), issuerOf(peer[0])
	return &cert
}

// tlsVersionName is the name of a version without the protocol's.
func tlsVersionName(version uint16) string {
	return strings.TrimPrefix(tls.VersionName(version), "TLS ")
}

// maxAttrs is more than a log line has attributes.
const maxAttrs = 24

// appendAttrs appends the log line about a connection that has ended. What was never learned has no attribute.
func (c *SessionInfo) appendAttrs(attrs []slog.Attr) []slog.Attr {
	text := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	text("reason", c.Reason.String())
	if c.ID != 0 {
		text("id", c.ID.String())
	}
	text("listener", c.Listener)
	text("remote", c.Remote)
	if c.WebSocket {
		attrs = append(attrs, slog.Bool("websocket", true))
	}
	if c.TLS != "" {
		attrs = append(attrs, slog.String("tls", c.TLS), slog.Bool("resumed", c.Resumed))
	}
	text("fingerprint", c.Fingerprint)
	if c.Reason.Forced() {
		text("issuer", c.Issuer)
	}
	text("serial", c.Serial)
	text("subject", c.Subject)
	text("owner", c.Owner)
	text("mqtt", c.MQTT)
	text("client_id", c.ClientID)
	if c.Backend != "" {
		attrs = append(attrs, slog.String("backend", c.Backend),
			slog.Int64("bytes_up", c.BytesUp), slog.Int64("bytes_down", c.BytesDown),
			slog.Uint64("packets_up", c.PacketsUp), slog.Uint64("packets_down", c.PacketsDown))
	}
	if c.Connack != nil {
		attrs = append(attrs, slog.Int("connack", int(*c.Connack)))
	}
	text("disconnect", c.Disconnect)
	attrs = append(attrs, slog.Duration("duration", c.Ended.Sub(c.Since).Round(time.Microsecond)))
	text("err", c.Detail)
	return attrs
}
