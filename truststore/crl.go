// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
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

// crl is a parsed list. Nothing in it refers to the bytes it was read from.
type crl struct {
	CRL
	issuer    *authority // whose signature it bears
	rawIssuer []byte
	scope     scope
	revoked   *serialSet
}

// signed is what the signature of a list is checked with. It refers to the
// bytes that the list was read from.
type signed struct {
	algorithm      x509.SignatureAlgorithm
	tbs, signature []byte
}

var errMalformedCRL = errors.New("no well-formed certificate revocation list")

// parseCRL parses one DER-encoded CertificateList (RFC 5280 §5.1). The
// signature remains to be checked.
//
// x509.ParseRevocationList takes several hundred bytes for each entry. So the
// entries are read here, for their serial numbers alone, and x509 parses what
// is left of the list without them.
func parseCRL(der []byte) (*crl, signed, error) {
	parts, err := splitCRL(der)
	if err != nil {
		return nil, signed{}, err
	}
	rest, err := parts.withoutEntries()
	if err != nil {
		return nil, signed{}, err
	}
	list, err := x509.ParseRevocationList(rest)
	if err != nil {
		return nil, signed{}, err
	}
	scope, err := checkExtensions(list.Extensions)
	if err != nil {
		return nil, signed{}, err
	}
	revoked, entries, err := readEntries(parts.entries)
	if err != nil {
		return nil, signed{}, err
	}
	return &crl{
		CRL: CRL{
			Issuer:     list.Issuer.String(),
			Number:     list.Number,
			ThisUpdate: list.ThisUpdate,
			NextUpdate: list.NextUpdate,
			Entries:    entries,
		},
		rawIssuer: list.RawIssuer,
		scope:     scope,
		revoked:   revoked,
	}, signed{list.SignatureAlgorithm, parts.tbs, list.Signature}, nil
}

// crlParts are the pieces of a CertificateList, all of them slices of it.
type crlParts struct {
	tbs       []byte            // tbsCertList, the signed element
	head      []byte            // signature, issuer, thisUpdate, nextUpdate
	entries   cryptobyte.String // contents of revokedCertificates
	tail      []byte            // crlExtensions
	signature []byte            // signatureAlgorithm, signatureValue
}

// splitCRL takes a CertificateList apart without looking into the pieces.
func splitCRL(der []byte) (*crlParts, error) {
	input := cryptobyte.String(der)
	var list, tbs, body cryptobyte.String
	if !input.ReadASN1(&list, asn1.SEQUENCE) || !input.Empty() ||
		!list.ReadASN1Element(&tbs, asn1.SEQUENCE) {
		return nil, errMalformedCRL
	}
	parts := &crlParts{tbs: tbs, signature: list}
	if !tbs.ReadASN1(&body, asn1.SEQUENCE) {
		return nil, errMalformedCRL
	}
	version := 0
	if body.PeekASN1Tag(asn1.INTEGER) && !body.ReadASN1Integer(&version) {
		return nil, errMalformedCRL
	}
	if !parts.readBody(body) {
		return nil, errMalformedCRL
	}
	switch {
	case version == 1: // which stands for version 2
		return parts, nil
	case version == 0 && len(parts.tail) == 0: // absent, and so are extensions
		return parts, nil
	}
	return nil, fmt.Errorf("version %d is not known, or not to have extensions", version+1)
}

// readBody divides what follows the version in a tbsCertList.
func (p *crlParts) readBody(body cryptobyte.String) bool {
	head := body
	for range 2 { // signature and issuer
		if !body.SkipASN1(asn1.SEQUENCE) {
			return false
		}
	}
	if !skipTime(&body) || peekTime(body) && !skipTime(&body) {
		return false
	}
	p.head = head[:len(head)-len(body)]
	if body.PeekASN1Tag(asn1.SEQUENCE) && !body.ReadASN1(&p.entries, asn1.SEQUENCE) {
		return false
	}
	p.tail = body
	return body.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) && body.Empty()
}

// withoutEntries puts a list together that has no entries and is of version 2,
// the only one that x509 knows.
func (p *crlParts) withoutEntries() ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(p.head)
			b.AddBytes(p.tail)
		})
		b.AddBytes(p.signature)
	})
	return b.Bytes()
}

// readEntries reads the serial numbers of revokedCertificates, in two passes:
// the first counts, so that the second fills a set of the right size.
func readEntries(entries cryptobyte.String) (*serialSet, int, error) {
	var counts serialCounts
	total, err := eachSerial(entries, func(serial []byte) { counts[len(serial)]++ })
	if err != nil {
		return nil, 0, err
	}
	set := newSerialSet(&counts)
	_, err = eachSerial(entries, set.add)
	return set, total, err
}

// eachSerial calls visit with the serial number of each entry, without leading
// zeros, and returns how many entries there are. The number is a slice of
// entries. Negative ones, which RFC 5280 does not allow and which no
// certificate that crypto/x509 parses has, are not visited.
func eachSerial(entries cryptobyte.String, visit func([]byte)) (int, error) {
	n := 0
	for ; !entries.Empty(); n++ {
		serial, err := readEntry(&entries)
		switch {
		case err != nil:
			return 0, fmt.Errorf("entry %d: %w", n+1, err)
		case serial[0] >= 0x80:
			continue
		case serial[0] == 0:
			serial = serial[1:]
		}
		if len(serial) > maxSerialOctets {
			return 0, fmt.Errorf("entry %d: the serial number has %d octets, more than %d", n+1, len(serial), maxSerialOctets)
		}
		visit(serial)
	}
	return n, nil
}

// readEntry reads one entry and returns its serial number as it is encoded.
func readEntry(entries *cryptobyte.String) ([]byte, error) {
	var entry, serial cryptobyte.String
	if !entries.ReadASN1(&entry, asn1.SEQUENCE) ||
		!entry.ReadASN1(&serial, asn1.INTEGER) || !minimal(serial) || !skipTime(&entry) {
		return nil, errMalformedCRL
	}
	return serial, checkEntryExtensions(entry)
}

// minimal tells whether these are the contents of an INTEGER in DER
// (X.690 §8.3.2): the first nine bits are not all the same.
func minimal(integer []byte) bool {
	switch len(integer) {
	case 0:
		return false
	case 1:
		return true
	}
	return !(integer[0] == 0 && integer[1] < 0x80 || integer[0] == 0xff && integer[1] >= 0x80)
}

// peekTime tells whether a Time comes next: UTCTime or GeneralizedTime.
func peekTime(s cryptobyte.String) bool {
	return s.PeekASN1Tag(asn1.UTCTime) || s.PeekASN1Tag(asn1.GeneralizedTime)
}

// skipTime passes over a Time. Whether it is a good one does not matter for an
// entry, and is checked by x509 for thisUpdate and nextUpdate.
func skipTime(s *cryptobyte.String) bool {
	var value cryptobyte.String
	var tag asn1.Tag
	return peekTime(*s) && s.ReadAnyASN1(&value, &tag)
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
