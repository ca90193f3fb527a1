// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// testPKI is what most tests need, made once: keys are slow. It is valid at the time in a synctest bubble, too.
var testPKI = sync.OnceValue(func() (p struct {
	ca, other *certtest.CA
	device    *certtest.Cert // of ca
	responder *certtest.Cert // delegated by ca
}) {
	always := []certtest.Option{
		certtest.NotBefore(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)),
		certtest.NotAfter(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	p.ca, p.other = certtest.NewCA("devices", always...), certtest.NewCA("others", always...)
	p.device = p.ca.Issue("acme:lamp", always...)
	p.responder = p.ca.Issue("responder", append(always, certtest.OCSPSigning(true))...)
	return p
})

// about is the certificate of a device as it is asked about.
func about(device *certtest.Cert, ca *certtest.CA) ocsp.Certificate {
	return ocsp.Certificate{Fingerprint: pki.FingerprintOf(device.Leaf), Leaf: device.Leaf, Issuer: ca.Cert}
}

// lamp is the certificate of the device of testPKI.
func lamp() ocsp.Certificate { return about(testPKI().device, testPKI().ca) }

// naming is the lamp with other responders in its certificate.
func naming(responders ...string) ocsp.Certificate {
	cert := lamp()
	leaf := *cert.Leaf
	leaf.OCSPServer = responders
	cert.Leaf = &leaf
	return cert
}

// serve starts a server over real HTTP until the test ends.
func serve(t testing.TB, handler http.Handler) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return parseURL(t, server.URL)
}

// answering is a responder that says the same to everybody.
func answering(response []byte) certtest.OCSPFunc { return func(*big.Int) []byte { return response } }

func parseURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// newClient returns a client of one responder that has all the time that a slow machine needs.
func newClient(t testing.TB, responder *url.URL) *ocsp.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &ocsp.Client{HTTP: &http.Client{Transport: transport}, URL: responder, Timeout: time.Minute}
}

// wantKind wants a question to have failed in a certain way.
func wantKind(t *testing.T, err error, want ocsp.Kind) {
	t.Helper()
	if got := ocsp.KindOf(err); got != want {
		t.Errorf("got %q (%v), want %q", got, err, want)
	}
	if _, ok := errors.AsType[*ocsp.Error](err); !ok {
		t.Errorf("got a %T", err)
	}
}
