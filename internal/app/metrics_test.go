// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"log/slog"
	"math/big"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// testBuild is the build of an App in tests.
var testBuild = Build{Version: "v1.2.3", Commit: "unknown", Go: "go1.26.0"}

// mustLoad parses an environment that is right.
func mustLoad(t *testing.T, environ ...string) config.Config {
	t.Helper()
	cfg, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// newTestApp returns an App with all that it registers metrics for, ready to
// take devices.
func newTestApp(t *testing.T) *App {
	t.Helper()
	return newTestAppIn(t, apptest.NewWorld(t))
}

func newTestAppIn(t *testing.T, w *apptest.World) *App {
	t.Helper()
	a := New(mustLoad(t, w.Environ()...), testBuild, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	store, err := a.openStore(t.Context(), nil, func(_, _ *truststore.Generation) {})
	if err != nil {
		t.Fatal(err)
	}
	cache := aclCache(a.cfg, aclClient(a.cfg, clientFiles{}), a.identity, a.log)
	t.Cleanup(cache.Close)
	brokers := a.newBrokers(clientFiles{})
	asker := a.newRevocationAsker(store.Current)
	t.Cleanup(asker.close)
	owners, err := a.openOwnerFile(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	server, err := a.newServer(store, nil, cache, owners, asker, brokers)
	if err != nil {
		t.Fatal(err)
	}
	a.parts.Store(&components{store, clientFiles{}, cache, asker, brokers.pool, server, nil, owners})
	return a
}

func TestMetricsFollowPrometheusConventions(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(newTestApp(t).registry)
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
	w := apptest.NewWorld(t)
	twin := func() *x509.Certificate { return certtest.NewCA("twin", certtest.Serial(big.NewInt(7))).Cert }
	odd := certtest.NewCA("odd", certtest.Template(func(c *x509.Certificate) { c.RawSubject = teletexName(t, "\xff\xfe") })).Cert
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, twin(), twin(), odd))
	a := newTestAppIn(t, w)
	const expiry = "vernegate_trust_certificate_expiry_timestamp_seconds"
	got, err := testutil.GatherAndCount(a.registry, expiry)
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
