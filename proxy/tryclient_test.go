// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A trial that promises something else than what a device meets would be worse than none: each case is met by both.
func TestTrialTellsWhatADeviceMeets(t *testing.T) {
	t.Parallel()
	device := testPKI().device
	denied := func(err error) func(*proxy.Config, *trust) {
		return func(c *proxy.Config, _ *trust) {
			c.Authorize = func(context.Context, proxy.Peer) (time.Time, error) { return time.Time{}, err }
		}
	}
	answered := func(owner string, ok bool, err error) func(*proxy.Config, *trust) {
		return func(c *proxy.Config, _ *trust) {
			c.Owner = func(context.Context, proxy.Peer) (string, bool, error) { return owner, ok, err }
		}
	}
	odd := testPKI().ca.Issue("odd", certtest.Template(func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
	}))
	year := certtest.NotAfter(time.Now().Add(-365 * 24 * time.Hour))
	for name, test := range map[string]struct {
		cert   *certtest.Cert
		role   proxy.Role
		change func(*proxy.Config, *trust)
		want   proxy.Reason
	}{
		"another CA":           {certtest.NewCA("elsewhere").Issue("ghost"), proxy.Devices, nil, proxy.TLSUntrusted},
		"a server's":           {testPKI().ca.Issue("host", certtest.Server("host")), proxy.Devices, nil, proxy.TLSUntrusted},
		"a critical extension": {odd, proxy.Devices, nil, proxy.TLSUntrusted},
		"… without CA names":   {odd, proxy.Devices, func(_ *proxy.Config, tr *trust) { tr.nameless = true }, proxy.TLSUntrusted},
		"expired":              {testPKI().ca.Issue("old", certtest.NotBefore(time.Unix(0, 0)), year), proxy.Devices, nil, proxy.TLSExpired},
		"revoked":              {device, proxy.Devices, func(_ *proxy.Config, tr *trust) { tr.revoked = append(tr.revoked, device.Leaf) }, proxy.TLSRevoked},
		"no CRL":               {device, proxy.Devices, func(_ *proxy.Config, tr *trust) { tr.err = pki.ErrRevocationUnknown }, proxy.TLSCRL},
		"OCSP: revoked":        {device, proxy.Devices, denied(pki.ErrRevoked), proxy.TLSRevoked},
		"OCSP: unknown":        {device, proxy.Devices, denied(pki.ErrRevocationUnknown), proxy.CertStatusUnknown},
		"OCSP: out of order":   {device, proxy.Devices, denied(errors.New("no answer")), proxy.IdentityUnavailable},
		"nobody's":             {device, proxy.Devices, answered("", false, nil), proxy.IdentityUnknown},
		"nobody's, because":    {device, proxy.Devices, answered("", false, fmt.Errorf("%w: no line", proxy.ErrNoOwner)), proxy.IdentityUnknown},
		"a plus":               {device, proxy.Devices, answered("+", true, nil), proxy.IdentityInvalid},
		"not told":             {device, proxy.Devices, answered("", false, errors.New("timeout")), proxy.IdentityUnavailable},
		"a device at services": {device, proxy.Services, answered("admin:dev1", true, nil), proxy.IdentityNotAllowed},
		"a device by a pattern": {device, proxy.Services, func(c *proxy.Config, _ *trust) {
			c.Service = func(string) bool { return false }
			c.Owner = owned("hub")
		}, proxy.IdentityNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cfg proxy.Config
			g := startGateFor(t, test.role, func(c *proxy.Config) {
				c.Lease = newTurns(startBroker(t).l.Addr().String()).lease
				tr := newTrust()
				if test.change != nil {
					test.change(c, tr)
				}
				c.Trust = func() proxy.Trust { return tr }
				cfg = *c
			})
			meet(t, g, test.cert)
			g.wantEnd(test.want)

			cfg.Metrics = nil
			trial := proxy.TryClient(t.Context(), cfg, test.cert.Chain())
			if got := trial.Refusals[test.role].Reason; got != test.want {
				t.Errorf("the trial tells %v (%v), want %v", got, trial.Refusals[test.role].Err, test.want)
			}
		})
	}
}

// meet has a device connect that is about to be refused.
func meet(t *testing.T, g *gate, cert *certtest.Cert) {
	t.Helper()
	c, err := tls.Dial("tcp", g.addr, clientConfig(cert))
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = c.Write(connect311)
	_, _ = c.Read(make([]byte, 1))
}

func TestTrialOfAWelcomeClient(t *testing.T) {
	t.Parallel()
	device := testPKI().ca.Intermediate("plant 7").Issue("hub")
	var asked proxy.Peer
	cfg := proxy.Config{
		Trust: func() proxy.Trust { return newTrust() },
		Owner: func(_ context.Context, peer proxy.Peer) (string, bool, error) { asked = peer; return "hub", true, nil },
	}
	trial := proxy.TryClient(t.Context(), cfg, device.Chain())
	if len(trial.Refusals) > 0 || trial.Owner != "hub" || !trial.Service {
		t.Errorf("got %+v", trial)
	}
	if len(trial.Peer.Chain) != 3 || asked.Fingerprint != pki.FingerprintOf(device.Leaf) || asked.Live {
		t.Errorf("the owner of %+v is asked for, and the chain has %d certificates", asked, len(trial.Peer.Chain))
	}
	trial = proxy.TryClient(t.Context(), cfg, device.Chain()[:1])
	if trial.Refusals[proxy.Devices].Reason != proxy.TLSUntrusted || trial.Owner != "" || trial.Peer.Chain != nil {
		t.Errorf("without its intermediate: got %+v", trial)
	}
}

func TestAllowedClientIDsAreThoseOfThePolicy(t *testing.T) {
	t.Parallel()
	for policy, want := range map[proxy.ClientIDPolicy]string{
		proxy.AnyClientID:         "any",
		proxy.OwnerClientID:       `"acme:lamp"`,
		proxy.OwnerPrefixClientID: `"acme:lamp", alone or with one of :/-_. behind it`,
	} {
		if got := policy.Allowed("acme:lamp"); got != want {
			t.Errorf("%v: got %s, want %s", policy, got, want)
		}
	}
}
