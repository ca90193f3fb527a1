// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"time"
)

// CRL tells about one certificate revocation list in use.
type CRL struct {
	Path       string
	Issuer     string   // distinguished name, RFC 2253
	Number     *big.Int // nil if the list has none
	ThisUpdate time.Time
	NextUpdate time.Time // zero if the list has none: it is never overdue
	Entries    int
}

// crl is a parsed list.
type crl struct {
	CRL
	issuer    *authority // whose signature it bears
	rawIssuer []byte
	scope     scope
	revoked   *serialSet
}

var errMalformedCRL = errors.New("no well-formed certificate revocation list")

// parseCRL reads one DER-encoded CertificateList (RFC 5280 §5.1), which ends
// where the stream does. The signature remains to be checked.
//
// x509.ParseRevocationList takes several hundred bytes for each entry, and all
// of the list at once. So the list is taken apart as it comes, the entries are
// read for their serial numbers alone, and x509 parses what is left of the list
// without them.
func parseCRL(der io.Reader, p *pace) (*crl, *signed, error) {
	parts, err := readCRL(newDERReader(der), p)
	if err != nil {
		return nil, nil, err
	}
	list, err := parts.withoutEntries()
	if err != nil {
		return nil, nil, err
	}
	scope, err := checkExtensions(list.Extensions)
	if err != nil {
		return nil, nil, err
	}
	parts.signed.signature = list.Signature
	return &crl{
		CRL: CRL{
			Issuer:     list.Issuer.String(),
			Number:     list.Number,
			ThisUpdate: list.ThisUpdate,
			NextUpdate: list.NextUpdate,
			Entries:    parts.entries,
		},
		rawIssuer: list.RawIssuer,
		scope:     scope,
		revoked:   parts.revoked.set(p),
	}, parts.signed, nil
}

// newerThan orders lists of one authority and scope by their number, or by time
// when one has none or both have the same.
func (c *crl) newerThan(other *crl) bool {
	if c.Number != nil && other.Number != nil {
		if order := c.Number.Cmp(other.Number); order != 0 {
			return order > 0
		}
	}
	return c.ThisUpdate.After(other.ThisUpdate)
}

// attrs tells the list from others in the log.
func (c *crl) attrs() []slog.Attr {
	return []slog.Attr{slog.String("file", c.Path), slog.String("ca", c.Issuer)}
}

// age tells where the list stands among others of its kind.
func (c *crl) age() string {
	if c.Number == nil {
		return "of " + c.ThisUpdate.Format(time.RFC3339)
	}
	return fmt.Sprintf("number %v of %s", c.Number, c.ThisUpdate.Format(time.RFC3339))
}

// series tells lists that replace each other from all others: it is the same
// for lists of one issuer, key and scope.
func (c *crl) series() string {
	return string(c.rawIssuer) + string(c.issuer.publicKey) + c.scope.point
}
