// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// report counts the end of a connection and writes its one summary line.
func (s *session) report() {
	s.server.cfg.Metrics.ended[s.role][s.reason].Inc()

	level := s.reason.Level()
	if errors.Is(s.err, errSaidNothing) {
		level = slog.LevelDebug
	}
	if log := s.server.cfg.Logger; log.Enabled(context.Background(), level) {
		log.LogAttrs(context.Background(), level, "connection ended", s.summary()...)
	}
}

// summary is what is known of the connection. What was never learned has no attribute.
func (s *session) summary() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("reason", s.reason.String()),
		slog.String("listener", s.role.String()),
		slog.String("remote", s.client.RemoteAddr().String()),
	}
	attrs = append(attrs, s.tlsFacts()...)
	if s.owner != "" {
		attrs = append(attrs, slog.Any("owner", untrusted(s.owner)))
	}
	if s.version != 0 {
		attrs = append(attrs, slog.String("mqtt", s.version.String()))
	}
	if s.clientID != "" {
		attrs = append(attrs, slog.Any("client_id", untrusted(s.clientID)))
	}
	if s.backend != nil {
		attrs = append(attrs, slog.String("backend", s.backendAddr),
			slog.Int64("bytes_up", s.up.bytes), slog.Int64("bytes_down", s.down.bytes))
	}
	if s.connack.known {
		attrs = append(attrs, slog.Int("connack", int(s.connack.code)))
	}
	attrs = append(attrs, slog.Duration("duration", time.Since(s.began).Round(time.Microsecond)))
	if s.err != nil {
		attrs = append(attrs, slog.Any("err", untrusted(s.err.Error())))
	}
	return attrs
}

// tlsFacts tells what was negotiated and which certificate the client showed, even one that was refused: its
// fingerprint is what an operator needs to find the device.
func (s *session) tlsFacts() []slog.Attr {
	state := s.tls.ConnectionState()
	var attrs []slog.Attr
	if state.HandshakeComplete {
		attrs = append(attrs, slog.String("tls", strings.TrimPrefix(tls.VersionName(state.Version), "TLS ")),
			slog.Bool("resumed", state.DidResume))
	}
	if leaf := s.leaf(state); leaf != nil {
		attrs = append(attrs, slog.String("fingerprint", FingerprintOf(leaf).String()),
			slog.String("serial", leaf.SerialNumber.Text(16)),
			slog.Any("subject", untrusted(leaf.Subject.String())))
	}
	return attrs
}

// leaf is the client's certificate, verified or not; nil if it sent none.
func (s *session) leaf(state tls.ConnectionState) *x509.Certificate {
	if len(state.PeerCertificates) > 0 {
		return state.PeerCertificates[0]
	}
	var refused *tls.CertificateVerificationError
	if errors.As(s.err, &refused) && len(refused.UnverifiedCertificates) > 0 {
		return refused.UnverifiedCertificates[0]
	}
	return nil
}

// maxUntrusted bounds what a stranger can write into one log attribute, in bytes before escaping.
const maxUntrusted = 512

// An untrusted string came from a client, its certificate or certificate-acl, or may quote one of them. It
// reaches a log bounded and escaped: it cannot forge a line, colour a terminal or fill a disk.
type untrusted string

// LogValue implements slog.LogValuer. Printable text stays as it is, so that operators can search for it.
func (u untrusted) LogValue() slog.Value {
	s, more := string(u), ""
	if len(s) > maxUntrusted {
		s, more = s[:maxUntrusted], "…"
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return slog.StringValue(b.String() + more)
}
