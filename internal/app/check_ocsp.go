// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"math/big"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
)

// checkOCSP asks the configured responder about a certificate of each CA that cannot exist. Any
// answer that counts is fine, also that it is not known.
func (r *report) checkOCSP(ctx context.Context, cfg config.Config, g *truststore.Generation) {
	switch {
	case !bool(cfg.OCSP):
		return
	case cfg.OCSPURL.URL == nil:
		r.print("note", "OCSP responders are those that certificates name, and are not tried")
		return
	}
	client := ocspClient(cfg, func() *truststore.Generation { return g })
	defer client.HTTP.CloseIdleConnections()
	asked := false
	for _, ca := range g.CAs() {
		if !cfg.OCSPIssuers.Has(ca) {
			continue
		}
		asked = true
		answer, err := client.Ask(ctx, ocsp.Certificate{Leaf: nobodys(), Issuer: ca}, true)
		switch {
		case ocsp.KindOf(err) == ocsp.KindRefused: // RFC 5019 §2.2.3: also about what it does not know
			r.warn("OCSP responder for %q: %v", pki.SubjectOf(ca), err)
		case err != nil:
			r.failedLines("OCSP responder for \""+pki.SubjectOf(ca)+"\": ", err)
		default:
			r.ok("OCSP responder %s answers for %q (%v about a certificate that does not exist)", cfg.OCSPURL.Host, pki.SubjectOf(ca), answer.Status)
		}
	}
	if !asked {
		r.warn("VERNEGATE_OCSP_ISSUERS names no CA of the bundle")
	}
}

// nobodys is a certificate with a serial number that no CA has given to anybody.
func nobodys() *x509.Certificate {
	var serial [20]byte
	_, _ = rand.Read(serial[:]) // never fails
	serial[0] &= 0x7f           // positive (RFC 5280 §4.1.2.2)
	return &x509.Certificate{SerialNumber: new(big.Int).SetBytes(serial[:])}
}
