// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"math/big"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// newTestGate returns a gate with all that it registers metrics for, ready to
// take devices.
func newTestGate(t *testing.T) *gate {
	t.Helper()
	return newGateIn(t, newWorld(t))
}

func newGateIn(t *testing.T, w *world) *gate {
	t.Helper()
	g := newGate(mustLoad(t, w.environ()...), slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	store, err := g.openStore(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	cache := g.cfg.aclCache(g.cfg.aclClient(), g.identity)
	t.Cleanup(cache.Close)
	pool := g.newPool()
	server, err := g.newServer(store, cache, pool)
	if err != nil {
		t.Fatal(err)
	}
	g.works.Store(&works{store, cache, pool, server})
	return g
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(newTestGate(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestMetricsSurviveOddCertificates has CAs that share subject and serial, and
// one whose subject is no UTF-8.
func TestMetricsSurviveOddCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	twin := func() *x509.Certificate { return certtest.NewCA("twin", certtest.Serial(big.NewInt(7))).Cert }
	odd := certtest.NewCA("odd", certtest.Template(func(c *x509.Certificate) { c.RawSubject = teletexName(t, "\xff\xfe") })).Cert
	w.write("ca.crt", certtest.CertsPEM(w.root.Cert, twin(), twin(), odd))
	g := newGateIn(t, w)
	const expiry = "vernegate_trust_certificate_expiry_timestamp_seconds"
	got, err := testutil.GatherAndCount(g.registry, expiry)
	if err != nil {
		t.Fatal(err)
	}
	if want := 4; got != want { // server, root, twin, odd
		t.Errorf("%d series of %s, want %d", got, expiry, want)
	}
}

// teletexName is the DER of a name with a common name of these bytes, in the
// one kind of string that can hold any.
func teletexName(t *testing.T, text string) []byte {
	t.Helper()
	name, err := asn1.Marshal(pkix.RDNSequence{{{
		Type:  asn1.ObjectIdentifier{2, 5, 4, 3},
		Value: asn1.RawValue{Tag: asn1.TagT61String, Bytes: []byte(text)},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestIdentityMetricsTellResults(t *testing.T) {
	t.Parallel()
	for want, row := range map[string]struct {
		ok  bool
		err error
	}{
		"owned":   {true, nil},
		"unowned": {false, nil},
		"timeout": {false, &certacl.LookupError{Kind: certacl.KindTimeout, Err: errShuttingDown}},
		"status":  {false, &certacl.LookupError{Kind: certacl.KindStatus, Status: 503}},
	} {
		if got := lookupResult(row.ok, row.err); got != want {
			t.Errorf("lookupResult(%v, %v) = %q, want %q", row.ok, row.err, got, want)
		}
	}
}
