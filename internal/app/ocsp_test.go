// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"math/big"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// withResponder adds a responder of the root to a world, which says that of every certificate.
func withResponder(t *testing.T, w *apptest.World, status certtest.OCSPStatus) {
	t.Helper()
	server := httptest.NewServer(certtest.OCSPFunc(func(serial *big.Int) []byte {
		return w.Root.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: serial, Status: status})
	}))
	t.Cleanup(server.Close)
	w.Vars["VERNEGATE_OCSP"], w.Vars["VERNEGATE_OCSP_URL"] = "on", server.URL
	w.Vars["VERNEGATE_OCSP_TIMEOUT"] = "1m"
}

func TestCheckTriesTheResponder(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	withResponder(t, w, certtest.OCSPUnknown)
	ok, report := check(t, w)
	if !ok {
		t.Error("it fails")
	}
	wantLine(t, report, "ok", `answers for "CN=root" (unknown about a certificate that does not exist)`)

	w.Vars["VERNEGATE_OCSP_NONCE"] = "on"
	if ok, report = check(t, w); ok {
		t.Error("it finds nothing wrong with a responder that sends no nonces")
	}
	wantLine(t, report, "failed", "nonce: it does not have the nonce of the request")
	delete(w.Vars, "VERNEGATE_OCSP_NONCE")

	w.Vars["VERNEGATE_OCSP_ISSUERS"] = "others"
	_, report = check(t, w)
	wantLine(t, report, "warning", "VERNEGATE_OCSP_ISSUERS names no CA of the bundle")

	delete(w.Vars, "VERNEGATE_OCSP_ISSUERS")
	w.Vars["VERNEGATE_OCSP_URL"] = w.ACL.URL
	if ok, report = check(t, w); ok {
		t.Error("it finds nothing wrong with a responder that is none")
	}
	wantLine(t, report, "failed", `OCSP responder for "CN=root": asking OCSP responder`)

	delete(w.Vars, "VERNEGATE_OCSP_URL")
	w.Vars["VERNEGATE_CRL_HOSTS"] = "ocsp.example.org"
	_, report = check(t, w)
	wantLine(t, report, "note", "OCSP responders are those that certificates name")
}

// The status page and the metrics tell CAs apart.
func TestOCSPIsToldByIssuer(t *testing.T) {
	t.Parallel()
	root, other := certtest.NewCA("root"), certtest.NewCA("other")
	m := newOCSPMetrics(prometheus.NewRegistry(), ocsp.Issuers{}, nil)
	failure := &ocsp.Error{Kind: ocsp.KindSigner, Err: errors.New("somebody")}
	ask := func(ca *certtest.CA, status ocsp.Status, err error) {
		m.asked(ocsp.Question{Issuer: ca.Cert, Responder: "ocsp.test", Answer: ocsp.Answer{Status: status}, Err: err, Took: time.Second})
	}
	ask(root, ocsp.Good, nil)
	ask(root, ocsp.Revoked, nil)
	for range 3 {
		ask(other, 0, failure)
	}
	ask(other, 0, &ocsp.Error{Kind: ocsp.KindCanceled, Err: errors.New("given up")}) // says nothing
	list := m.status()
	if len(list) != 2 || list[0].Issuer != "CN=other" || list[1].Issuer != "CN=root" {
		t.Fatalf("got %+v", list)
	}
	if i := list[0]; !i.Failing() || i.Failures != 3 || i.LastError != "signer" || i.LastDetail == "" || i.Responder != "ocsp.test" {
		t.Errorf("of one that fails: got %+v", i)
	}
	if i := list[1]; i.Failing() || i.Count("good") != 1 || i.Count("revoked") != 1 || i.LastSuccess.IsZero() {
		t.Errorf("of one that answers: got %+v", i)
	}
	for labels, want := range map[[2]string]float64{{"CN=root", "answered"}: 2, {"CN=other", "failed"}: 3, {"CN=other", "answered"}: 0} {
		if got := testutil.ToFloat64(m.requests.WithLabelValues(labels[0], labels[1])); got != want {
			t.Errorf("%v: counted %v, want %v", labels, got, want)
		}
	}
	ask(other, ocsp.Good, nil)
	m.asked(ocsp.Question{Issuer: other.Cert, Err: failure, Next: true}) // and the next one answers
	if i := m.status()[0]; i.Failures != 3 || testutil.ToFloat64(m.requests.WithLabelValues("CN=other", "failed")) != 3 {
		t.Errorf("a question counts as failed before the last responder was asked: got %+v", i)
	}
	if m.status()[0].Failing() {
		t.Error("one that answers again still fails")
	}
}
