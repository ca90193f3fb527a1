// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// checkCert runs CheckCertificate for a file with this content.
func checkCert(t *testing.T, w *apptest.World, content []byte) (ok bool, report string) {
	t.Helper()
	var out bytes.Buffer
	ok = CheckCertificate(t.Context(), w.Write("device.crt", content), w.Environ(), &out)
	return ok, out.String()
}

// wantRefused fails unless the report says that the listener for devices refuses the certificate with this reason.
func wantRefused(t *testing.T, w *apptest.World, content []byte, reason, why string) {
	t.Helper()
	ok, report := checkCert(t, w, content)
	if ok {
		t.Error("it would be let in")
	}
	wantLine(t, report, "refused", "listener devices (VERNEGATE_LISTEN=127.0.0.1:0) refuses it with "+reason)
	wantLine(t, report, "refused", why)
	wantLine(t, report, "failed", "no listener would let it in")
}

// knows makes a certificate-acl that names the owner of one certificate.
func knows(t *testing.T, w *apptest.World, cert *x509.Certificate, owner string) {
	t.Helper()
	acl := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/"+pki.FingerprintOf(cert).String()) {
			w.ACL.Config.Handler.ServeHTTP(rw, r)
			return
		}
		_, _ = fmt.Fprintf(rw, "%q", owner)
	}))
	t.Cleanup(acl.Close)
	w.Vars["CERTIFICATE_ACL_URL"] = acl.URL + "/"
}

func TestCheckOfAWelcomeCertificate(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	lamp := w.Root.Intermediate("plant 7").Issue("lamp", certtest.Serial(big.NewInt(0x2f01)))
	knows(t, w, lamp.Leaf, "acme:lamp")
	w.Vars["VERNEGATE_CLIENT_ID"] = "owner-prefix"
	ok, report := checkCert(t, w, lamp.CertPEM())
	if !ok {
		t.Error("it fails")
	}
	wantLine(t, report, "value", `certificate "CN=lamp", serial 2f01, SHA-256 fingerprint `+pki.FingerprintOf(lamp.Leaf).String())
	wantLine(t, report, "ok", `chain: "CN=lamp", issued by "CN=plant 7", issued by "CN=root"`)
	wantLine(t, report, "warning", `revocation of "CN=lamp": there is no CRL of "CN=plant 7" (VERNEGATE_CRL_MISSING=allow)`)
	wantLine(t, report, "ok", `revocation of "CN=plant 7": the CRL of "CN=root" with number 1`)
	wantLine(t, report, "value", "asked for the owner: certificate-acl (owner)")
	wantLine(t, report, "ok", `owner "acme:lamp", a device`)
	wantLine(t, report, "ok", `client ids: "acme:lamp", alone or with one of :/-_. behind it`)
	wantLine(t, report, "ok", "listener devices (VERNEGATE_LISTEN=127.0.0.1:0) lets it in")
	wantLine(t, report, "refused", "listener services (VERNEGATE_SERVICE_LISTEN=127.0.0.1:0) refuses it with identity_not_allowed")
	if strings.Contains(report, "websocket") {
		t.Errorf("a listener that is off is told about:\n%s", report)
	}
}

// The sources are asked in their order, and the one that answers is named.
func TestCheckOfACertificateNamesTheSource(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	hub := w.Root.Issue("hub")
	w.Vars["VERNEGATE_IDENTITY"] = "file,subject"
	w.Vars["VERNEGATE_IDENTITY_TEMPLATE"] = "{cn}"
	w.Vars["VERNEGATE_IDENTITY_FILE"] = w.Write("owners", []byte("# none\n"))
	ok, report := checkCert(t, w, hub.Leaf.Raw) // in DER
	if !ok {
		t.Error("it fails")
	}
	wantLine(t, report, "value", "asked for the owner: file (none), subject (owner)")
	wantLine(t, report, "ok", `owner "hub", a service`)
	wantLine(t, report, "ok", "listener services (VERNEGATE_SERVICE_LISTEN=127.0.0.1:0) lets it in")
}

func TestCheckOfACertificateThatIsRefused(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	lamp := w.Root.Issue("lamp")
	knows(t, w, lamp.Leaf, "acme:+")
	wantRefused(t, w, lamp.CertPEM(), "identity_invalid", `the owner contains '+'`)
	wantRefused(t, w, w.Root.Issue("door").CertPEM(), "identity_unknown", ": no owner by certificate-acl: it answers 404")
	wantRefused(t, w, certtest.NewCA("elsewhere").Issue("lamp").CertPEM(), "tls_untrusted", "unknown authority")
	old := w.Root.Issue("old", certtest.NotBefore(time.Unix(0, 0)), certtest.NotAfter(time.Unix(1e9, 0)))
	wantRefused(t, w, old.CertPEM(), "tls_expired", "expired")

	w.Vars["CERTIFICATE_ACL_URL"] = "http://" + closedAddress(t) + "/"
	wantRefused(t, w, lamp.CertPEM(), "identity_unavailable", ": certificate-acl could not be reached: dial tcp ")

	revoked := w.Root.CRL(certtest.CRLOptions{Number: 2, Serials: []*big.Int{lamp.Leaf.SerialNumber}})
	w.Vars["VERNEGATE_TLS_CRL"] = w.Write("ca.crl", revoked)
	wantRefused(t, w, lamp.CertPEM(), "tls_revoked", "certificate is revoked")
}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l := apptest.ListenLoopback(t)
	_ = l.Close()
	return l.Addr().String()
}

func TestCheckOfACertificateAsksTheResponder(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	lamp := w.Root.Issue("lamp")
	knows(t, w, lamp.Leaf, "acme:lamp")
	withResponder(t, w, certtest.OCSPGood)
	ok, report := checkCert(t, w, lamp.CertPEM())
	if !ok {
		t.Error("it fails")
	}
	wantLine(t, report, "ok", "OCSP has nothing against it")
	withResponder(t, w, certtest.OCSPRevoked)
	wantRefused(t, w, lamp.CertPEM(), "tls_revoked", "OCSP says so of serial")
	w.Vars["VERNEGATE_OCSP_ISSUERS"] = "others"
	_, report = checkCert(t, w, lamp.CertPEM())
	wantLine(t, report, "note", "OCSP is not asked about certificates of this CA")
}

func TestCheckOfAFileThatIsNotOneCertificate(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	lamp, door := w.Root.Issue("lamp"), w.Root.Issue("door")
	for name, test := range map[string]struct {
		content []byte
		want    string
	}{
		"nothing":       {nil, "no certificate in it, expected one in PEM or DER"},
		"text":          {[]byte("acme:lamp\n"), "no certificate in it, expected one in PEM or DER"},
		"a key":         {lamp.KeyPEM(), "no certificate in it, but a key (PRIVATE KEY), expected the certificate that belongs to it"},
		"a CRL":         {certtest.PEMEncodeCRL(w.Root.CRL(certtest.CRLOptions{Number: 1})), "no certificate in it, but X509 CRL"},
		"two devices":   {append(lamp.CertPEM(), door.CertPEM()...), `certificate 2, "CN=door", is not a CA, expected that of one device first and CAs behind it`},
		"the CA first":  {append(w.Root.PEM(), lamp.CertPEM()...), `certificate 2, "CN=lamp", is not a CA`},
		"half":          {lamp.CertPEM()[:200], `the PEM block of type "CERTIFICATE" does not end`},
		"DER, and more": {append(lamp.Leaf.Raw, 0), "no certificate in DER: x509: trailing data"},
		"no X.509":      {[]byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"), "certificate 1: x509: "},
		"endless":       {bytes.Repeat([]byte("#\n"), maxCertFile), "is larger than 262144 bytes"},
	} {
		ok, report := checkCert(t, w, test.content)
		if ok {
			t.Errorf("%s: it would be let in", name)
		}
		wantLine(t, report, "failed", test.want)
		wantLine(t, report, "failed", "device.crt")
	}
	var out bytes.Buffer
	if CheckCertificate(t.Context(), w.Dir+"/absent.crt", w.Environ(), &out) {
		t.Error("a certificate that is not there would be let in")
	}
	wantLine(t, out.String(), "failed", "absent.crt: no such file")

	if ok, report := checkCert(t, w, append(lamp.KeyPEM(), lamp.CertPEM()...)); ok || !strings.Contains(report, `"CN=lamp"`) {
		t.Errorf("a key beside the certificate disturbs: %s", report)
	}
}

// What keeps vernegate from starting is told in place of what a device would meet.
func TestCheckOfACertificateNeedsAConfiguration(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	lamp := w.Root.Issue("lamp").CertPEM()
	w.Vars["VERNEGATE_TLS_CA"] = w.Dir + "/absent.crt"
	ok, report := checkCert(t, w, lamp)
	if ok || strings.Contains(report, "listener") {
		t.Errorf("it goes on without CAs:\n%s", report)
	}
	wantLine(t, report, "failed", "VERNEGATE_TLS_CA: ")
	w.Vars["VERNEGATE_BACKENDS"] = "nowhere"
	_, report = checkCert(t, w, lamp)
	wantLine(t, report, "failed", `VERNEGATE_BACKENDS="nowhere"`)
}
