// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// Checker decides by OCSP whether clients are let in and stay. Its methods may be called from any number of goroutines.
type Checker struct {
	// Status says what is known of a certificate: Cache.Status.
	Status func(ctx context.Context, cert Certificate, live bool) (answer Answer, again time.Time, err error)

	// Issuers are the CAs whose certificates are asked about. The zero value is all.
	Issuers Issuers

	// Deny refuses newcomers whose status could not be found out. Else they are let in, and asked about again soon.
	Deny bool
}

// Check returns nil if a client with this chain, its own certificate first, may come in or stay. An error that matches
// pki.ErrRevoked says that its certificate is revoked, and one that matches pki.ErrRevocationUnknown that the responder
// does not know it, or that its status could not be found out and has to be known.
//
// again is when to ask again about live sessions; zero = never, as its certificates are not asked about. If live, Check
// does not wait.
func (c *Checker) Check(ctx context.Context, chain []*x509.Certificate, fp pki.Fingerprint, live bool) (again time.Time, err error) {
	if len(chain) < 2 || !c.Issuers.Has(chain[1]) { // a certificate that is in the bundle itself has no issuer to ask about
		return time.Time{}, nil
	}
	answer, again, err := c.Status(ctx, Certificate{fp, chain[0], chain[1]}, live)
	switch {
	case err != nil && c.Deny:
		return again, fmt.Errorf("%w: %w", pki.ErrRevocationUnknown, err)
	case err != nil:
		return again, nil
	}
	return again, answer.refusal(chain[0])
}

// refusal returns nil if a certificate is good.
func (a Answer) refusal(leaf *x509.Certificate) error {
	switch a.Status {
	case Good:
		return nil
	case Revoked:
		return fmt.Errorf("%w: OCSP says so of serial %x since %s (%s)", pki.ErrRevoked, leaf.SerialNumber, a.RevokedAt.UTC().Format(time.RFC3339), reasonName(a.Reason))
	}
	return fmt.Errorf("%w: the OCSP responder does not know serial %x", pki.ErrRevocationUnknown, leaf.SerialNumber)
}

// reasonName returns a CRLReason as RFC 5280 §5.3.1 spells it.
func reasonName(reason int) string {
	names := []string{
		0: "unspecified", 1: "keyCompromise", 2: "cACompromise", 3: "affiliationChanged", 4: "superseded",
		5: "cessationOfOperation", 6: "certificateHold", 8: "removeFromCRL", 9: "privilegeWithdrawn", 10: "aACompromise",
	}
	if reason < 0 || reason >= len(names) || names[reason] == "" {
		return fmt.Sprintf("reason %d", reason)
	}
	return names[reason]
}

// Issuers are CAs by name. The zero value is all CAs.
type Issuers struct{ names []string }

// UnmarshalText parses names that are separated by semicolons: whole ones as the status page shows them
// ("CN=Devices,O=Acme"), or common names alone ("Devices"). A semicolon within a name is written as \;.
func (i *Issuers) UnmarshalText(text []byte) error {
	var names []string
	for _, name := range splitNames(string(text)) {
		if name == "" || slices.Contains(names, name) {
			return errors.New("expected different names of CAs separated by semicolons, such as CN=Devices,O=Acme or Devices")
		}
		names = append(names, name)
	}
	i.names = names
	return nil
}

// Names returns the names; nil = all CAs.
func (i Issuers) Names() []string { return i.names }

// Has reports whether a CA is one of them.
func (i Issuers) Has(ca *x509.Certificate) bool {
	return i.names == nil ||
		slices.Contains(i.names, strings.ReplaceAll(ca.Subject.CommonName, ";", `\;`)) ||
		slices.Contains(i.names, pki.SubjectOf(ca))
}

// splitNames returns what is between semicolons without a backslash before them, without the white space around it.
func splitNames(text string) (names []string) {
	begin := 0
	for i := range len(text) {
		if text[i] == ';' && (i == 0 || text[i-1] != '\\') {
			names = append(names, strings.TrimSpace(text[begin:i]))
			begin = i + 1
		}
	}
	return append(names, strings.TrimSpace(text[begin:]))
}
