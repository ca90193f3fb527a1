// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// TestCertificatesAsPatched is which devices the patched broker let in by their
// certificates, and which get in now.
func TestCertificatesAsPatched(t *testing.T) {
	t.Parallel()
	external := certtest.NewCA("external company")
	var revoked *certtest.Cert
	s := newPatchedFixture(t, broker, func(s *fixture) {
		s.pki.Trust(external)
		revoked = s.device("acme:revoked")
		s.pki.Revoke(revoked.Leaf)
	})
	for name, row := range map[string]struct {
		cert *certtest.Cert
		in   bool // then and now
	}{
		"of the platform's CA":                 {s.device("acme:lamp"), true},
		"of the platform's CA, with RSA":       {s.device("acme:old-lamp", certtest.RSA()), true},
		"of an external CA that has no CRL":    {s.deviceOf(external, "acme:meter"), true},
		"revoked":                              {revoked, false},
		"expired":                              {s.device("acme:expired", certtest.NotAfter(time.Now().Add(-time.Hour))), false},
		"of a CA that nobody trusts":           {s.deviceOf(certtest.NewCA("stranger"), "acme:stranger"), false},
		"of the platform's CA, for the future": {s.device("acme:future", certtest.NotBefore(time.Now().Add(time.Hour))), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := tryConnect(within(t, stepTime), s.through(row.cert, 0))
			if (err == nil) != row.in {
				t.Errorf("it is in: %v (%v), want %v", err == nil, err, row.in)
			}
			if refusal, ok := errors.AsType[*stack.RefusedError](err); ok {
				t.Errorf("it is refused with a CONNACK of %d, want the end of the handshake", refusal.Code)
			}
		})
	}
}

// TestCRLPastItsTime: cert-sidecar fetches a CRL of one day every two hours, so that
// every day there are some in which it is past its next update. Devices have to get
// in then, and who was revoked must not.
func TestCRLPastItsTime(t *testing.T) {
	t.Parallel()
	var revoked *certtest.Cert
	s := newPatchedFixture(t, broker, func(s *fixture) {
		revoked = s.device("acme:revoked")
		s.pki.Revoke(revoked.Leaf)
	})
	// It takes the place of a list that is a minute old: one that is older by more than clocks differ would be a replay.
	past := time.Now().Add(-2 * time.Minute)
	der := s.pki.Root.CRL(certtest.CRLOptions{
		Number: 9, Revoked: []*x509.Certificate{revoked.Leaf},
		ThisUpdate: past.Add(-time.Minute), NextUpdate: past,
	})
	if err := os.WriteFile(filepath.Join(string(s.folder), "ca.crl"), certtest.PEMEncodeCRL(der), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx := within(t, stepTime)
	eventually(t, stepTime, "the CRL that is past its time is in use", func() bool {
		next := must(s.Metrics(ctx))(t).Sum("vernegate_trust_crl_next_update_timestamp_seconds")
		return int64(next) == past.Unix()
	})
	if err := tryConnect(ctx, s.through(s.device("acme:lamp"), 0)); err != nil {
		t.Errorf("a good device is refused: %v", err)
	}
	if tryConnect(ctx, s.through(revoked, 0)) == nil {
		t.Error("a revoked device is let in")
	}
}

// TestRenewalByCertSidecar: cert-sidecar writes a new key and then, at a moment of its
// own, the certificate for it, each in place. Until they fit, devices meet the old pair.
func TestRenewalByCertSidecar(t *testing.T) {
	t.Parallel()
	s := newPatchedFixture(t, broker, nil, "DOCKER_VERNEMQ_SSL_TRUSTED_CERT_REFRESH_INTERVAL", "0")
	dial := s.through(s.device("acme:lamp"), 0)
	renewed := s.pki.Root.Issue("vernegate, renewed", certtest.Server("127.0.0.1", "localhost"))
	ctx := within(t, stepTime)
	overwrite := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(string(s.folder), name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overwrite("server.key", renewed.KeyPEM())
	_, err := s.WaitRecord(ctx, "the key that does not fit", func(r stack.Record) bool {
		text, _ := r["err"].(string)
		return r.Has("level", "ERROR") && strings.Contains(text, "server.key")
	})
	if err != nil {
		t.Fatal(err)
	}
	if name := s.served(t); name == "vernegate, renewed" {
		t.Errorf("it serves %q, whose key it has, but not the certificate", name)
	}
	if err := tryConnect(ctx, dial); err != nil {
		t.Errorf("a device is refused while the key does not fit: %v", err)
	}
	overwrite("server.crt", renewed.CertPEM())
	eventually(t, stepTime, "the new certificate is served", func() bool { return s.served(t) == "vernegate, renewed" })
	if err := tryConnect(ctx, dial); err != nil {
		t.Errorf("a device is refused after the renewal: %v", err)
	}
}

// served returns the name in the server certificate that a device is shown.
func (s *patchedFixture) served(t *testing.T) string {
	t.Helper()
	conn := must(tls.Dial("tcp", s.Devices, s.clientTLS(s.device("acme:lamp"), 0)))(t)
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}
