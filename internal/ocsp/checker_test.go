// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestStatusDecidesAboutClients(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status ocsp.Status
		err    error
		deny   bool
		want   error
	}{
		"good":                       {ocsp.Good, nil, true, nil},
		"revoked":                    {ocsp.Revoked, nil, false, pki.ErrRevoked},
		"unknown to the responder":   {ocsp.Unknown, nil, false, pki.ErrRevocationUnknown},
		"not found out, and allowed": {0, errDown, false, nil},
		"not found out, and denied":  {0, errDown, true, pki.ErrRevocationUnknown},
	} {
		later := time.Now().Add(time.Minute)
		c := ocsp.Checker{Deny: row.deny, Status: func(_ context.Context, cert ocsp.Certificate, live bool) (ocsp.Answer, time.Time, error) {
			if cert != lamp() || !live {
				t.Errorf("%s: asked about %v, live %v", name, cert, live)
			}
			return ocsp.Answer{Status: row.status}, later, row.err
		}}
		again, err := c.Check(t.Context(), []*x509.Certificate{lamp().Leaf, lamp().Issuer}, lamp().Fingerprint, true)
		if !errors.Is(err, row.want) || (err == nil) != (row.want == nil) || !again.Equal(later) {
			t.Errorf("%s: got %v, %v; want %v", name, again, err, row.want)
		}
		if row.deny && row.err != nil && !errors.Is(err, row.err) {
			t.Errorf("%s: %v does not say why", name, err)
		}
	}
}

func TestIssuersAreChosenByName(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("", certtest.Template(func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "Devices; 1", Organization: []string{"Acme, Inc."}}
	}))
	device := ca.Issue("acme:lamp")
	for text, want := range map[string]bool{
		"":                                    true,
		"Devices":                             false,
		"CN=Devices":                          false,
		"others; " + ca.Cert.Subject.String(): true,
		`others;Devices\; 1`:                  true,
		`CN=Devices\; 1,O=Other`:              false,
	} {
		var issuers ocsp.Issuers
		if text != "" {
			if err := issuers.UnmarshalText([]byte(text)); err != nil {
				t.Errorf("%q: %v", text, err)
			}
		}
		asked := false
		c := ocsp.Checker{Issuers: issuers, Status: func(context.Context, ocsp.Certificate, bool) (ocsp.Answer, time.Time, error) {
			asked = true
			return ocsp.Answer{Status: ocsp.Good}, time.Time{}, nil
		}}
		if _, err := c.Check(t.Context(), []*x509.Certificate{device.Leaf, ca.Cert}, pki.Fingerprint{}, false); err != nil || asked != want {
			t.Errorf("%q: asked is %v, %v; want %v", text, asked, err, want)
		}
		if _, err := c.Check(t.Context(), []*x509.Certificate{device.Leaf}, pki.Fingerprint{}, false); err != nil {
			t.Errorf("a certificate of the bundle: %v", err)
		}
	}
	for _, text := range []string{";", "a;;b", "a;a", " "} {
		if err := new(ocsp.Issuers).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// The name of a CA is written once, and only so far as the status page shows it, however many names it is compared with.
func TestLongNamesOfIssuersAreWrittenOnce(t *testing.T) {
	ca := &x509.Certificate{Subject: pkix.Name{OrganizationalUnit: slices.Repeat([]string{"a"}, 1000)}}
	raw, err := asn1.Marshal(ca.Subject.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	ca.RawSubject = raw
	allocations := func(names ...string) float64 {
		var issuers ocsp.Issuers
		if err := issuers.UnmarshalText([]byte(strings.Join(names, ";"))); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(5, func() { issuers.Has(ca) })
	}
	if one, four := allocations("CN=a"), allocations("CN=a", "CN=b", "CN=c", "CN=d"); four > 2*one { // others allocate as well
		t.Errorf("%v allocations with four names, and %v with one", four, one)
	}
	var shown ocsp.Issuers
	if err := shown.UnmarshalText([]byte(pki.SubjectOf(ca))); err != nil || !shown.Has(ca) {
		t.Errorf("the CA is not found by its name as it is shown (%v)", err)
	}
}
