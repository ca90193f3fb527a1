// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/x509"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// crlParts are the pieces of a CertificateList.
type crlParts struct {
	algorithm []byte // signature
	head      []byte // from there on: issuer, thisUpdate, nextUpdate
	revoked   serialList
	entries   int    // of revokedCertificates
	tail      []byte // crlExtensions
	signature []byte // signatureAlgorithm, signatureValue

	signed *signed // all but the last
}

// readCRL takes a CertificateList apart, and looks into the entries only.
func readCRL(in *derReader, p *pace) (*crlParts, error) {
	_, end := in.enter(1 << 62)
	header, endOfTBS := in.enter(end)
	version := in.optional(endOfTBS, asn1.INTEGER)
	parts := &crlParts{algorithm: in.element(endOfTBS, asn1.SEQUENCE)}
	parts.readHead(in, endOfTBS)
	if in.err != nil {
		return nil, in.err
	}
	if err := parts.begin(header, version); err != nil {
		return nil, err
	}
	if in.next(endOfTBS, asn1.SEQUENCE) {
		if err := parts.readEntries(in, endOfTBS, p); err != nil {
			return nil, err
		}
	}
	parts.tail = in.optional(endOfTBS, extensions)
	parts.signed.add(parts.tail)
	in.leave(endOfTBS)
	parts.signature = append(in.element(end, asn1.SEQUENCE), in.element(end, asn1.BIT_STRING)...)
	in.leave(end)
	in.finish()
	if in.err != nil {
		return nil, in.err
	}
	return parts, parts.checkVersion(version)
}

// extensions is the tag of crlExtensions.
var extensions = asn1.Tag(0).ContextSpecific().Constructed()

// readHead reads what is between the algorithm and the entries.
func (parts *crlParts) readHead(in *derReader, end int64) {
	parts.head = in.element(end, asn1.SEQUENCE)
	parts.head = append(parts.head, in.element(end, asn1.UTCTime, asn1.GeneralizedTime)...)
	parts.head = append(parts.head, in.optional(end, asn1.UTCTime, asn1.GeneralizedTime)...)
}

// begin finds out how the list is signed, before the most of it comes.
func (parts *crlParts) begin(header, version []byte) error {
	var b cryptobyte.Builder
	b.AddBytes(parts.algorithm)
	b.AddASN1BitString([]byte{0})
	preview := crlParts{algorithm: parts.algorithm, head: parts.head, signature: b.BytesOrPanic()}
	list, err := preview.withoutEntries()
	if err != nil {
		return err
	}
	if !isSupported(list.SignatureAlgorithm) { // before all of it is in memory for nothing
		return fmt.Errorf("it is signed with %v, which is not supported", list.SignatureAlgorithm)
	}
	parts.signed = newSigned(list.SignatureAlgorithm)
	parts.signed.add(header, version, parts.algorithm, parts.head)
	return nil
}

// readEntries reads revokedCertificates.
func (parts *crlParts) readEntries(in *derReader, end int64, p *pace) error {
	header, end := in.enter(end)
	parts.signed.add(header)
	for in.err == nil && in.at < end {
		p.breathe()
		piece := in.peek(end)
		read, err := parts.takeEntries(piece)
		switch {
		case in.err != nil:
		case read == 0 && err != nil: // and not because the piece ends there: no good entry is as long
			return fmt.Errorf("entry %d: %w", parts.entries+1, err)
		case read == 0:
			return errMalformedCRL
		}
		parts.signed.add(piece[:read])
		in.discard(read)
	}
	return in.err
}

// takeEntries reads entries up to one that is not good, perhaps because it is not
// complete, and returns how many bytes they take.
//
// Negative serial numbers, which RFC 5280 does not allow and which no certificate
// that crypto/x509 parses has, are counted but not kept.
func (parts *crlParts) takeEntries(piece []byte) (read int, err error) {
	for rest := cryptobyte.String(piece); !rest.Empty(); read = len(piece) - len(rest) {
		serial, err := readEntry(&rest)
		if err != nil {
			return read, err
		}
		parts.entries++
		if serial[0] < 0x80 {
			parts.revoked.add(withoutZero(serial))
		}
	}
	return read, nil
}

// readEntry reads one entry and returns its serial number as it is encoded.
func readEntry(entries *cryptobyte.String) ([]byte, error) {
	var entry, serial cryptobyte.String
	if !entries.ReadASN1(&entry, asn1.SEQUENCE) ||
		!entry.ReadASN1(&serial, asn1.INTEGER) || !minimal(serial) || !skipTime(&entry) {
		return nil, errMalformedCRL
	}
	if n := len(withoutZero(serial)); n > maxSerialOctets {
		return nil, fmt.Errorf("the serial number has %d octets, more than %d", n, maxSerialOctets)
	}
	return serial, checkEntryExtensions(entry)
}

// withoutZero returns the octets of an INTEGER without the one that only tells
// that it is not negative.
func withoutZero(integer []byte) []byte {
	if integer[0] == 0 {
		return integer[1:]
	}
	return integer
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

// skipTime passes over a Time: UTCTime or GeneralizedTime. Whether it is a good
// one does not matter for an entry, and is checked by x509 for thisUpdate and
// nextUpdate.
func skipTime(s *cryptobyte.String) bool {
	var value cryptobyte.String
	var tag asn1.Tag
	return (s.PeekASN1Tag(asn1.UTCTime) || s.PeekASN1Tag(asn1.GeneralizedTime)) && s.ReadAnyASN1(&value, &tag)
}

// checkVersion refuses versions that are not known. Absent stands for version 1,
// which has no extensions.
func (parts *crlParts) checkVersion(element []byte) error {
	version := 0
	if input := cryptobyte.String(element); element != nil && !input.ReadASN1Integer(&version) {
		return errMalformedCRL
	}
	switch {
	case version == 1: // which stands for version 2
		return nil
	case version == 0 && len(parts.tail) == 0:
		return nil
	}
	return fmt.Errorf("version %d is not known, or not to have extensions", version+1)
}

// withoutEntries has x509 parse a list that has no entries and is of version 2,
// the only one that it knows.
func (parts *crlParts) withoutEntries() (*x509.RevocationList, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(parts.algorithm)
			b.AddBytes(parts.head)
			b.AddBytes(parts.tail)
		})
		b.AddBytes(parts.signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return x509.ParseRevocationList(der)
}
