// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A matrix is a server with two of each part in files of their own, all good.
type matrix struct {
	*bubble
	other, removed *certtest.CA // in more.crt
	device         *certtest.Cert
}

// inMatrix runs a test with a server that follows its files.
func inMatrix(t *testing.T, test func(*matrix)) {
	t.Helper()
	var m matrix
	prepare := func(b *bubble, c *truststore.Config) {
		m = matrix{bubble: b, other: certtest.NewCA("other"), removed: certtest.NewCA("removed"), device: b.root.Issue("acme:lamp")}
		second := b.root.Issue("second", certtest.Server("second.example"))
		b.write("2.crt", second.CertPEM())
		b.write("2.key", second.KeyPEM())
		b.write("more.crt", m.other.PEM(), m.removed.PEM())
		b.write("more.crl", revoking(m.other, 1))
		b.write("tickets", []byte(hexKey(1)))
		c.Certs, c.Keys = append(c.Certs, b.path("2.crt")), append(c.Keys, b.path("2.key"))
		c.CAs, c.CRLs = append(c.CAs, b.path("more.crt")), append(c.CRLs, b.path("more.crl"))
		c.TicketKeys = []string{b.path("tickets")}
	}
	inBubble(t, 0, prepare, func(*bubble) { test(&m) })
}

// connects has a device connect, and returns why it is refused.
func (m *matrix) connects(device *certtest.Cert) error {
	m.t.Helper()
	_, err := bothVersions(m.t, m.store.Current(), device.TLS())
	return err
}

// TestGoodPartsCountWhateverElseIsBroken is the rule that there is no verdict over parts that have nothing to do with
// each other: one part is broken, then another one changes, and that counts.
func TestGoodPartsCountWhateverElseIsBroken(t *testing.T) {
	t.Parallel()
	critical := certtest.CRLOptions{Number: 2, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 99}, Critical: true, Value: []byte{5, 0}}}}
	delta := certtest.CRLOptions{Number: 2, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}}
	broken := map[string]struct {
		file    string // that holds it
		breaks  func(*matrix)
		refused bool // else there is a notice at most
	}{
		"nothing": {"", func(*matrix) {}, false},
		"server key of another": {"2", func(m *matrix) {
			m.write("2.key", m.root.Issue("x").KeyPEM())
		}, true},
		"server certificate cut":    {"2", func(m *matrix) { m.write("2.crt", m.server.CertPEM()[:100]) }, true},
		"server certificate absent": {"2", func(m *matrix) { m.remove("2.crt") }, true},
		"server certificate expired": {"2", func(m *matrix) {
			expired := m.root.Issue("second", certtest.Server("second.example"), certtest.NotAfter(time.Now().Add(-time.Minute)))
			m.write("2.crt", expired.CertPEM())
			m.write("2.key", expired.KeyPEM())
		}, true},
		"CAs cut":      {"more", func(m *matrix) { m.write("more.crt", m.other.PEM(), m.removed.PEM()[:100]) }, true},
		"CAs absent":   {"more", func(m *matrix) { m.remove("more.crt") }, true},
		"CAs empty":    {"more", func(m *matrix) { m.write("more.crt") }, true},
		"CAs in words": {"more", func(m *matrix) { m.write("more.crt", []byte("# none for now\n")) }, true},
		"CA odd": {"more", func(m *matrix) {
			m.write("more.crt", m.other.PEM(), m.removed.PEM(), block("CERTIFICATE", []byte("no DER")))
		}, false},
		"CRL empty":                {"more.crl", func(m *matrix) { m.write("more.crl") }, true},
		"CRL absent":               {"more.crl", func(m *matrix) { m.remove("more.crl") }, true},
		"CRL cut":                  {"more.crl", func(m *matrix) { m.write("more.crl", revoking(m.other, 2)[:100]) }, true},
		"CRL with wrong signature": {"more.crl", func(m *matrix) { m.write("more.crl", m.other.CRL(certtest.CRLOptions{WrongSignature: true})) }, true},
		"CRL older": {"more.crl", func(m *matrix) {
			m.write("more.crl", m.other.CRL(certtest.CRLOptions{Number: 0, ThisUpdate: time.Now().Add(-time.Hour)}))
		}, true},
		"CRL not supported": {"more.crl", func(m *matrix) { m.write("more.crl", m.other.CRL(critical)) }, true},
		"CRL a delta":       {"more.crl", func(m *matrix) { m.write("more.crl", m.other.CRL(delta)) }, true},
		"CRL of a stranger": {"more.crl", func(m *matrix) {
			m.write("more.crl", revoking(m.other, 2), revoking(certtest.NewCA("stranger"), 1))
		}, false},
		"ticket keys": {"tickets", func(m *matrix) { m.write("tickets", []byte("no key")) }, true},
	}
	changes := map[string]struct {
		file  string // where it would overwrite what is broken
		apply func(*matrix) (counts func() bool)
	}{
		"device revoked": {"", func(m *matrix) func() bool {
			revoked := m.root.Issue("acme:gone")
			m.write("ca.crl", revoking(m.root, 2, revoked.Leaf))
			return func() bool { return errors.Is(m.connects(revoked), pki.ErrRevoked) }
		}},
		"device revoked by a list before one that is cut": {"", func(m *matrix) func() bool {
			revoked := m.root.Issue("acme:gone")
			m.write("ca.crl", revoking(m.root, 2, revoked.Leaf), revoking(m.other, 2)[:100])
			return func() bool { return errors.Is(m.connects(revoked), pki.ErrRevoked) }
		}},
		"device revoked by a list behind one that is cut": {"", func(m *matrix) func() bool {
			revoked := m.root.Issue("acme:gone")
			m.write("ca.crl", revoking(m.other, 2)[:100], []byte("\n"), revoking(m.root, 2, revoked.Leaf))
			return func() bool { return errors.Is(m.connects(revoked), pki.ErrRevoked) }
		}},
		"device of the other CA revoked": {"more.crl", func(m *matrix) func() bool {
			revoked := m.other.Issue("acme:gone")
			m.write("more.crl", revoking(m.other, 3, revoked.Leaf))
			return func() bool { return errors.Is(m.connects(revoked), pki.ErrRevoked) }
		}},
		"server certificate renewed": {"", func(m *matrix) func() bool {
			renewed := m.root.Issue("renewed", certtest.Server("localhost"))
			m.write("tls.crt", renewed.CertPEM())
			m.write("tls.key", renewed.KeyPEM())
			return func() bool {
				shown, err := bothVersions(m.t, m.store.Current(), m.device.TLS())
				return err == nil && shown.Equal(renewed.Leaf)
			}
		}},
		"CA added": {"", func(m *matrix) func() bool {
			added := certtest.NewCA("added")
			m.write("ca.crt", m.root.PEM(), added.PEM())
			return func() bool { return m.connects(added.Issue("acme:new")) == nil }
		}},
		"CA removed": {"more", func(m *matrix) func() bool {
			m.write("more.crt", m.other.PEM())
			return func() bool {
				_, ok := errors.AsType[x509.UnknownAuthorityError](m.connects(m.removed.Issue("acme:old")))
				return ok
			}
		}},
		"ticket keys changed": {"tickets", func(m *matrix) func() bool {
			m.write("tickets", []byte(hexKey(2)))
			return func() bool { return m.store.Current().TicketKeys()[0] == ticketKey(2) }
		}},
	}
	for part, b := range broken {
		for change, c := range changes {
			if c.file != "" && c.file == b.file {
				continue // which would mend it
			}
			t.Run(part+"/"+change, func(t *testing.T) {
				t.Parallel()
				inMatrix(t, func(m *matrix) {
					b.breaks(m)
					m.touch(time.Minute)
					if got := len(m.store.Refusals()); got != 0 != b.refused {
						t.Errorf("%d refusals, want one %v: %v", got, b.refused, m.store.Refusals())
					}
					counts := c.apply(m)
					m.touch(time.Minute)
					if !counts() {
						t.Errorf("the change does not count:\n%s", m.logged())
					}
					for _, device := range []*certtest.Cert{m.device, m.other.Issue("acme:2")} {
						if err := m.connects(device); err != nil {
							t.Errorf("a good device is refused: %v", err)
						}
					}
				})
			})
		}
	}
}
