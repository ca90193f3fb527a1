// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A rule is one of RFC 6960 (or of ours), a response that obeys or breaks it, and what has to come of it.
type rule struct {
	name     string
	response []byte
	status   ocsp.Status // 0 = refused
	kind     ocsp.Kind
}

// rules are about the device of testPKI.
func rules() []rule {
	p := testPKI()
	now := time.Now()
	good := certtest.OCSPAnswer{Serial: p.device.Leaf.SerialNumber}
	answer := func(change func(*certtest.OCSPAnswer)) []byte {
		a := good
		change(&a)
		return p.ca.OCSP(certtest.OCSPOptions{}, a)
	}
	signedBy := func(signer *certtest.Cert) []byte { return p.ca.OCSP(certtest.OCSPOptions{Signer: signer}, good) }
	delegate := func(opts ...certtest.Option) []byte { return signedBy(p.ca.Issue("responder", opts...)) }
	withExtension := func(e pkix.Extension) []byte {
		return p.ca.OCSP(certtest.OCSPOptions{Extensions: []pkix.Extension{e}}, good)
	}
	self := &certtest.Cert{Leaf: p.ca.Cert, Key: p.ca.Key}
	list := []rule{
		{"good", answer(func(*certtest.OCSPAnswer) {}), ocsp.Good, ""},
		{"revoked", answer(func(a *certtest.OCSPAnswer) { a.Status, a.Reason = certtest.OCSPRevoked, 1 }), ocsp.Revoked, ""},
		{"on hold is revoked", answer(func(a *certtest.OCSPAnswer) { a.Status, a.Reason = certtest.OCSPRevoked, 6 }), ocsp.Revoked, ""},
		{"never issued is revoked (§4.4.8)", answer(func(a *certtest.OCSPAnswer) {
			a.Status, a.Reason, a.RevokedAt = certtest.OCSPRevoked, 6, time.Unix(0, 0)
		}), ocsp.Revoked, ""},
		{"unknown", answer(func(a *certtest.OCSPAnswer) { a.Status = certtest.OCSPUnknown }), ocsp.Unknown, ""},
		{"critical extension", answer(func(a *certtest.OCSPAnswer) { a.Critical = true }), 0, ocsp.KindMalformed},
		{"critical extension of the response (§4.4)", withExtension(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: asn1.NullBytes}), 0, ocsp.KindMalformed},
		{"extension of the response", withExtension(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: asn1.NullBytes}), ocsp.Good, ""},
		{"critical extension of another answer", p.ca.OCSP(certtest.OCSPOptions{}, good, certtest.OCSPAnswer{Serial: big.NewInt(7), Critical: true}), ocsp.Good, ""},
		{"a nonce that was not asked for", withExtension(certtest.OCSPNonce([]byte("12345678"))), ocsp.Good, ""},
		{"no status", answer(func(a *certtest.OCSPAnswer) { a.Without = true }), 0, ocsp.KindMalformed},
		{"good and revoked", answer(func(a *certtest.OCSPAnswer) { a.Twice, a.Status = true, certtest.OCSPRevoked }), 0, ocsp.KindMalformed},

		{"SHA-256 in the CertID", answer(func(a *certtest.OCSPAnswer) { a.Hash = crypto.SHA256 }), ocsp.Good, ""},
		{"SHA-384 in the CertID", answer(func(a *certtest.OCSPAnswer) { a.Hash = crypto.SHA384 }), ocsp.Good, ""},
		{"SHA-512 in the CertID", answer(func(a *certtest.OCSPAnswer) { a.Hash = crypto.SHA512 }), ocsp.Good, ""},
		{"another serial number", answer(func(a *certtest.OCSPAnswer) { a.Serial = big.NewInt(7) }), 0, ocsp.KindOther},
		{"the negative serial number", answer(func(a *certtest.OCSPAnswer) { a.Serial = new(big.Int).Neg(a.Serial) }), 0, ocsp.KindOther},
		{"another issuer", answer(func(a *certtest.OCSPAnswer) { a.Issuer = p.other.Cert }), 0, ocsp.KindOther},
		{"another issuer of the same name", answer(func(a *certtest.OCSPAnswer) { a.Issuer = certtest.NewCA("devices").Cert }), 0, ocsp.KindOther},
		{"another issuer with the same key", answer(func(a *certtest.OCSPAnswer) {
			a.Issuer = certtest.NewCA("devices, too", certtest.Key(p.ca.Key)).Cert
		}), 0, ocsp.KindOther},
		{"a hash that is not known", answer(func(a *certtest.OCSPAnswer) { a.Hash = crypto.MD5 }), 0, ocsp.KindOther},
		{"once for each hash", p.ca.OCSP(certtest.OCSPOptions{}, good, certtest.OCSPAnswer{Serial: good.Serial, Hash: crypto.SHA256}), ocsp.Good, ""},
		{"once for each hash, and different", p.ca.OCSP(certtest.OCSPOptions{}, good, certtest.OCSPAnswer{Serial: good.Serial, Hash: crypto.SHA256, Status: certtest.OCSPRevoked}), 0, ocsp.KindMalformed},
		{"one of five hundred", p.ca.OCSP(certtest.OCSPOptions{}, append(others(500), good)...), ocsp.Good, ""},
		{"also about a certificate of another issuer", p.ca.OCSP(certtest.OCSPOptions{}, good, certtest.OCSPAnswer{Serial: good.Serial, Issuer: p.other.Cert, Status: certtest.OCSPRevoked}), ocsp.Good, ""},
		{"one of several", p.ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: big.NewInt(7), Status: certtest.OCSPRevoked}, good), ocsp.Good, ""},
		{"none of several", p.ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: big.NewInt(7)}, certtest.OCSPAnswer{Serial: big.NewInt(8)}), 0, ocsp.KindOther},
		{"no answer at all", p.ca.OCSP(certtest.OCSPOptions{}), 0, ocsp.KindOther},

		{"from the future", answer(func(a *certtest.OCSPAnswer) { a.ThisUpdate = now.Add(10 * time.Minute) }), 0, ocsp.KindStale},
		{"from the future, but not more than clocks differ", answer(func(a *certtest.OCSPAnswer) { a.ThisUpdate = now.Add(4 * time.Minute) }), ocsp.Good, ""},
		{"over", answer(func(a *certtest.OCSPAnswer) {
			a.ThisUpdate, a.NextUpdate = now.Add(-time.Hour), now.Add(-10*time.Minute)
		}), 0, ocsp.KindStale},
		{"over, but not longer than clocks differ", answer(func(a *certtest.OCSPAnswer) {
			a.ThisUpdate, a.NextUpdate = now.Add(-time.Hour), now.Add(-4*time.Minute)
		}), ocsp.Good, ""},
		{"over before it began", answer(func(a *certtest.OCSPAnswer) { a.NextUpdate = now.Add(-2 * time.Minute) }), 0, ocsp.KindMalformed},
		{"no next update", answer(func(a *certtest.OCSPAnswer) { a.NoNextUpdate = true }), ocsp.Good, ""},
		{"no next update, and two days old", answer(func(a *certtest.OCSPAnswer) {
			a.NoNextUpdate, a.ThisUpdate = true, now.Add(-48*time.Hour)
		}), 0, ocsp.KindStale},

		{"the CA's certificate comes along", signedBy(self), ocsp.Good, ""},
		{"delegated", signedBy(p.responder), ocsp.Good, ""},
		{"delegated, more certificates come along", p.ca.OCSP(certtest.OCSPOptions{Signer: p.responder, Certs: []*x509.Certificate{p.ca.Cert}}, good), ocsp.Good, ""},
		{"delegated, its certificate is not the first", p.ca.OCSP(certtest.OCSPOptions{Signer: p.responder, Bare: true, Certs: []*x509.Certificate{p.ca.Cert, p.device.Leaf, p.responder.Leaf}}, good), ocsp.Good, ""},
		{"delegated, its certificate comes after many", p.ca.OCSP(certtest.OCSPOptions{Signer: p.responder, Bare: true, Certs: append(slices.Repeat([]*x509.Certificate{p.ca.Cert}, 50), p.responder.Leaf)}, good), 0, ocsp.KindSigner},
		{"delegated, called by its key", p.ca.OCSP(certtest.OCSPOptions{Signer: p.responder, ByKey: true}, good), ocsp.Good, ""},
		{"delegated, and called otherwise (§4.2.2.3)", p.ca.OCSP(certtest.OCSPOptions{Signer: p.responder, Name: p.device.Leaf}, good), 0, ocsp.KindSigner},
		{"delegated, with the name of the CA", signedBy(p.ca.Issue("devices", certtest.OCSPSigning(true))), ocsp.Good, ""},
		{"called by its key", p.ca.OCSP(certtest.OCSPOptions{ByKey: true}, good), ocsp.Good, ""},
		{"called by the key of another CA", p.ca.OCSP(certtest.OCSPOptions{ByKey: true, Name: p.other.Cert}, good), 0, ocsp.KindSigner},
		{"called by another name", p.ca.OCSP(certtest.OCSPOptions{Name: p.other.Cert}, good), 0, ocsp.KindSigner},
		{"delegated, the certificate does not come along", p.ca.OCSP(certtest.OCSPOptions{Signer: p.responder, Bare: true}, good), 0, ocsp.KindSigner},
		{"not for OCSP (§4.2.2.2)", delegate(), 0, ocsp.KindSigner},
		{"for any usage, which does not do", delegate(certtest.ExtKeyUsage(x509.ExtKeyUsageAny)), 0, ocsp.KindSigner},
		{"the device answers about itself", signedBy(p.device), 0, ocsp.KindSigner},
		{"not for signatures", delegate(certtest.OCSPSigning(true), certtest.Template(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })), 0, ocsp.KindSigner},
		{"delegated by another CA", signedBy(p.other.Issue("responder", certtest.OCSPSigning(true))), 0, ocsp.KindSigner},
		{"delegated by a CA of the same name", signedBy(certtest.NewCA("devices").Issue("responder", certtest.OCSPSigning(true))), 0, ocsp.KindSigner},
		{"delegated by a CA below", signedBy(p.ca.Intermediate("below").Issue("responder", certtest.OCSPSigning(true))), 0, ocsp.KindSigner},
		{"delegated by itself", signedBy(selfSigned("devices")), 0, ocsp.KindSigner},
		{"delegated until yesterday", delegate(certtest.OCSPSigning(true), certtest.NotBefore(now.Add(-48*time.Hour)), certtest.NotAfter(now.Add(-24*time.Hour))), 0, ocsp.KindSigner},
		{"delegated from tomorrow", delegate(certtest.OCSPSigning(true), certtest.NotBefore(now.Add(12*time.Hour))), 0, ocsp.KindSigner},
		{"signed by another CA", p.other.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: p.device.Leaf.SerialNumber, Issuer: p.ca.Cert}), 0, ocsp.KindSigner},
		{"signed with SHA-1", p.ca.OCSP(certtest.OCSPOptions{SHA1: true}, good), 0, ocsp.KindSigner},
		{"a wrong signature", p.ca.OCSP(certtest.OCSPOptions{WrongSignature: true}, good), 0, ocsp.KindSigner},
		{"a wrong signature, with a certificate", p.ca.OCSP(certtest.OCSPOptions{WrongSignature: true, Signer: p.responder}, good), 0, ocsp.KindSigner},

		{"try later", xocsp.TryLaterErrorResponse, 0, ocsp.KindTryLater},
		{"internal error", xocsp.InternalErrorErrorResponse, 0, ocsp.KindTryLater},
		{"unauthorized", xocsp.UnauthorizedErrorResponse, 0, ocsp.KindRefused},
		{"signature required", xocsp.SigRequredErrorResponse, 0, ocsp.KindRefused},
		{"malformed request", xocsp.MalformedRequestErrorResponse, 0, ocsp.KindRefused},
		{"nothing", nil, 0, ocsp.KindMalformed},
		{"a page of HTML", []byte("<html>Please log in"), 0, ocsp.KindMalformed},
		{"something behind it", append(answer(func(*certtest.OCSPAnswer) {}), 0), 0, ocsp.KindMalformed},
		{"something behind what is signed", within(answer(func(*certtest.OCSPAnswer) {}), 0), 0, ocsp.KindMalformed},
		{"nested without end", bytes.Repeat([]byte{0x30, 0x80}, 10_000), 0, ocsp.KindMalformed},
		{"a length of 2 GB", []byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x0a, 1, 0}, 0, ocsp.KindMalformed},
		{"success, and nothing else", []byte{0x30, 3, 0x0a, 1, 0}, 0, ocsp.KindMalformed},
		{"half of it", answer(func(*certtest.OCSPAnswer) {})[:100], 0, ocsp.KindMalformed},
		{"too much", make([]byte, 1<<20), 0, ocsp.KindMalformed},
	}
	return list
}

// others are answers about so many other certificates.
func others(n int) (answers []certtest.OCSPAnswer) {
	for i := range n {
		answers = append(answers, certtest.OCSPAnswer{Serial: big.NewInt(int64(i)), Status: certtest.OCSPRevoked})
	}
	return answers
}

// within adds bytes to the end of the BasicOCSPResponse of a response, and makes the lengths around it right.
func within(response []byte, more ...byte) []byte {
	return withBasic(response, append(parseOuter(response).Bytes.Basic, more...))
}

// withBasic puts another BasicOCSPResponse into a response.
func withBasic(response, basic []byte) []byte {
	r := parseOuter(response)
	r.Bytes.Basic = basic
	changed, err := asn1.Marshal(r)
	if err != nil {
		panic(err)
	}
	return changed
}

// outer is the outside of a response (RFC 6960 §4.2.1).
type outer struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type  asn1.ObjectIdentifier
		Basic []byte
	} `asn1:"tag:0,explicit"`
}

func parseOuter(response []byte) (r outer) {
	if _, err := asn1.Unmarshal(response, &r); err != nil {
		panic(err)
	}
	return r
}

// selfSigned is a responder that nobody has delegated, with the name of the CA.
func selfSigned(name string) *certtest.Cert {
	ca := certtest.NewCA(name, certtest.OCSPSigning(true))
	return &certtest.Cert{Leaf: ca.Cert, Key: ca.Key}
}

func TestRulesOfResponses(t *testing.T) {
	t.Parallel()
	for _, r := range rules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, serve(t, answering(r.response)))
			got, err := client.Ask(t.Context(), lamp(), true)
			if got.Status != r.status {
				t.Errorf("got %v, %v; want %v", got.Status, err, r.status)
			}
			if r.status != 0 {
				if err != nil || got.Until.Before(time.Now()) {
					t.Errorf("got an answer until %v, %v", got.Until, err)
				}
				return
			}
			wantKind(t, err, r.kind)
			if text := err.Error(); strings.ContainsAny(text, "\n\r") || len(text) > 1000 {
				t.Errorf("got %q, want a line", text)
			}
		})
	}
}

// Whoever answers in place of the responder may call it by a long name. It is read once, and not for each certificate that comes along.
func TestLongNamesOfRespondersAreReadOnce(t *testing.T) {
	p := testPKI()
	name, err := asn1.Marshal(pkix.Name{OrganizationalUnit: slices.Repeat([]string{"a"}, 1000)}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	allocations := func(certs int) float64 {
		body := p.ca.OCSP(certtest.OCSPOptions{
			Name: &x509.Certificate{RawSubject: name}, Certs: slices.Repeat([]*x509.Certificate{p.ca.Cert}, certs),
		}, certtest.OCSPAnswer{Serial: p.device.Leaf.SerialNumber})
		return testing.AllocsPerRun(5, func() {
			_, err := ocsp.Verify(body, lamp(), nil, time.Now(), nil)
			wantKind(t, err, ocsp.KindSigner)
		})
	}
	if one, ten := allocations(1), allocations(10); ten > 2*one {
		t.Errorf("%v allocations with ten certificates, and %v with one", ten, one)
	}
}

// A key of 32 kB takes seconds to verify with. Nobody but the CA says which key is verified with, also where a response is not as it has to be.
func TestCertificatesOfUnreadableResponsesAreLeftAlone(t *testing.T) {
	p := testPKI()
	allocations := func(o certtest.OCSPOptions) float64 {
		body := p.ca.OCSP(o, certtest.OCSPAnswer{Serial: p.device.Leaf.SerialNumber})
		var parts []asn1.RawValue
		if _, err := asn1.Unmarshal(parseOuter(body).Bytes.Basic, &parts); err != nil {
			t.Fatal(err)
		}
		longer, err := asn1.Marshal(append(parts, asn1.NullRawValue))
		if err != nil {
			t.Fatal(err)
		}
		body = withBasic(body, longer)
		return testing.AllocsPerRun(5, func() {
			_, err := ocsp.Verify(body, lamp(), nil, time.Now(), nil)
			wantKind(t, err, ocsp.KindMalformed)
		})
	}
	if with, without := allocations(certtest.OCSPOptions{Certs: []*x509.Certificate{p.responder.Leaf}}), allocations(certtest.OCSPOptions{}); with > without+10 {
		t.Errorf("%v allocations with a certificate, and %v without", with, without)
	}
}

func TestRevokedAnswerSaysSinceWhenAndWhy(t *testing.T) {
	t.Parallel()
	since := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	response := testPKI().ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{
		Serial: testPKI().device.Leaf.SerialNumber, Status: certtest.OCSPRevoked, Reason: 1, RevokedAt: since,
	})
	got, err := ocsp.Verify(response, lamp(), nil, time.Now(), nil)
	if err != nil || !got.RevokedAt.Equal(since) || got.Reason != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
}

// How long an answer is used does not depend on the responder alone.
func TestAnswersHoldForATime(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	for name, row := range map[string]struct {
		answer certtest.OCSPAnswer
		want   time.Duration
	}{
		"until its next update":         {certtest.OCSPAnswer{NextUpdate: now.Add(2 * time.Hour)}, 2 * time.Hour},
		"without one":                   {certtest.OCSPAnswer{NoNextUpdate: true}, 5 * time.Minute},
		"that has ended on the way":     {certtest.OCSPAnswer{NextUpdate: now.Add(-time.Second)}, 10 * time.Second},
		"that does not know the device": {certtest.OCSPAnswer{Status: certtest.OCSPUnknown, NextUpdate: now.Add(2 * time.Hour)}, time.Minute},
	} {
		row.answer.Serial = testPKI().device.Leaf.SerialNumber
		got, err := ocsp.Verify(testPKI().ca.OCSP(certtest.OCSPOptions{}, row.answer), lamp(), nil, now, nil)
		if d := got.Until.Sub(now); err != nil || d != row.want {
			t.Errorf("%s: it holds for %v (%v), want %v", name, d, err, row.want)
		}
	}
}

// A delegated responder can be revoked itself, unless its certificate says that nobody need ask.
func TestDelegatedRespondersAreChecked(t *testing.T) {
	t.Parallel()
	ca := testPKI().ca
	revoked := fmt.Errorf("%w: it is on a CRL", pki.ErrRevoked)
	for _, noCheck := range []bool{false, true} {
		signer := ca.Issue("responder", certtest.OCSPSigning(noCheck))
		response := ca.OCSP(certtest.OCSPOptions{Signer: signer}, certtest.OCSPAnswer{Serial: testPKI().device.Leaf.SerialNumber})
		for _, verdict := range []error{nil, revoked} {
			asked := false
			got, err := ocsp.Verify(response, lamp(), nil, time.Now(), func(cert, issuer *x509.Certificate) error {
				asked = cert.Equal(signer.Leaf) && issuer.Equal(ca.Cert)
				return verdict
			})
			switch {
			case asked == noCheck:
				t.Errorf("nocheck %v: asked is %v", noCheck, asked)
			case noCheck || verdict == nil:
				if err != nil || got.Status != ocsp.Good {
					t.Errorf("nocheck %v, %v: got %v, %v", noCheck, verdict, got.Status, err)
				}
			case errors.Is(err, pki.ErrRevoked) || !strings.Contains(err.Error(), "it is on a CRL"):
				t.Errorf("got %v, want an error that says why, and not that the device is revoked", err)
			default:
				wantKind(t, err, ocsp.KindSigner)
			}
		}
	}
}

// FuzzVerify changes responses, each process those of its own keys: the first argument says which, and the others what to
// replace in it. What is accepted has been signed just so, and everything else is an *Error.
func FuzzVerify(f *testing.F) {
	var responses [][]byte
	var accepted []string // what is signed of those that count
	for i, r := range rules() {
		if len(r.response) > 8<<10 {
			continue
		}
		f.Add(uint8(len(responses)), uint16(i*7), uint16(1), []byte{byte(i)})
		f.Add(uint8(len(responses)), uint16(0), uint16(0), []byte(nil))
		responses = append(responses, r.response)
		if r.status != 0 {
			accepted = append(accepted, string(signedPart(r.response)))
		}
	}
	now := time.Now()
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, insert []byte) {
		var body []byte
		if int(which) < len(responses) {
			body = slices.Clone(responses[which])
		}
		begin := min(int(at), len(body))
		body = slices.Replace(body, begin, min(begin+int(cut), len(body)), insert...)
		got, err := ocsp.Verify(body, lamp(), nil, now, nil)
		if err != nil {
			if _, ok := errors.AsType[*ocsp.Error](err); !ok || got != (ocsp.Answer{}) {
				t.Fatalf("got %+v, %T", got, err)
			}
			return
		}
		if got.Status == 0 || got.Until.Before(now) || !slices.Contains(accepted, string(signedPart(body))) {
			t.Fatalf("accepted %+v, which nobody has signed", got)
		}
	})
}

// signedPart returns the ResponseData of a response.
func signedPart(response []byte) []byte {
	var basic struct {
		Data asn1.RawValue
		Rest asn1.RawValue
	}
	if _, err := asn1.Unmarshal(parseOuter(response).Bytes.Basic, &basic); err != nil {
		panic(err)
	}
	return basic.Data.FullBytes
}
