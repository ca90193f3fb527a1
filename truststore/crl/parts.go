// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"crypto/x509"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
)

// A reader takes one CertificateList apart as it comes.
//
// x509.ParseRevocationList takes several hundred bytes for each entry, and all of the list at once, and refuses names
// with odd characters. So the entries are read for their serial numbers alone, and x509 parses what is left of the list
// without them and without its issuer.
type reader struct {
	in       *derReader
	throttle *pace.Throttle
	list     *List
	end      int64 // where the list says that it ends

	version, algorithm, times, extensions, signature []byte // elements, nil if absent
	serials, removed                                 serialList
}

// extensionsTag is that of crlExtensions.
var extensionsTag = asn1.Tag(0).ContextSpecific().Constructed()

// read reads the whole list (RFC 5280 §5.1).
func (r *reader) read() error {
	in := r.in
	_, end := in.enter(1 << 62)
	r.end = end
	header, endOfTBS := in.enter(end)
	r.readHead(endOfTBS)
	if in.err != nil {
		return in.err
	}
	if err := r.begin(header); err != nil {
		return err
	}
	if in.next(endOfTBS, asn1.SEQUENCE) {
		if err := r.readEntries(endOfTBS); err != nil {
			return err
		}
	}
	r.extensions = in.optional(endOfTBS, maxElement, extensionsTag)
	r.list.signed.add(r.extensions)
	in.leave(endOfTBS)
	r.signature = append(in.element(end, maxElement, asn1.SEQUENCE), in.element(end, maxElement, asn1.BIT_STRING)...)
	in.leave(end)
	in.finish()
	if in.err != nil {
		return in.err
	}
	return r.complete()
}

// readHead reads what is before the entries.
func (r *reader) readHead(end int64) {
	r.version = r.in.optional(end, maxHead, asn1.INTEGER)
	r.algorithm = r.in.element(end, maxHead, asn1.SEQUENCE)
	r.list.RawIssuer = r.in.element(end, maxHead, asn1.SEQUENCE)
	r.list.Issuer = pki.NameString(r.list.RawIssuer)
	r.times = r.in.element(end, maxHead, asn1.UTCTime, asn1.GeneralizedTime)
	r.times = append(r.times, r.in.optional(end, maxHead, asn1.UTCTime, asn1.GeneralizedTime)...)
}

// begin finds out how the list is signed, before the most of it comes.
func (r *reader) begin(header []byte) error {
	var b cryptobyte.Builder
	b.AddBytes(r.algorithm)
	b.AddASN1BitString([]byte{0})
	preview, err := r.withoutEntries(b.BytesOrPanic())
	if err != nil {
		return err
	}
	if !isSupported(preview.SignatureAlgorithm) { // before all of it is in memory for nothing
		return unsupported(fmt.Sprintf("it is signed with %v, which is not supported", algorithmName(preview, r.algorithm)))
	}
	if preview.SignatureAlgorithm == x509.PureEd25519 && r.end > maxEd25519 {
		return unsupported(fmt.Sprintf("it is signed with Ed25519, and larger than %d MiB", maxEd25519>>20))
	}
	r.list.signed = newSigned(preview.SignatureAlgorithm)
	r.list.signed.add(header, r.version, r.algorithm, r.list.RawIssuer, r.times)
	return nil
}

// maxEd25519 bounds lists that are signed with Ed25519, in bytes. It signs the message and not a hash of it, so that all of a list
// is in memory until the signature has been checked; and anybody can say that a list is signed so.
const maxEd25519 = 64 << 20

// algorithmName names an algorithm that crypto/x509 may not know.
func algorithmName(list *x509.RevocationList, identifier []byte) string {
	if list.SignatureAlgorithm != x509.UnknownSignatureAlgorithm {
		return list.SignatureAlgorithm.String()
	}
	return fmt.Sprintf("an unknown algorithm (identifier %x)", pki.Clip(identifier))
}

// complete fills in what is known once all of the list has been read.
func (r *reader) complete() error {
	if err := r.checkVersion(); err != nil {
		return err
	}
	parsed, err := r.withoutEntries(r.signature)
	if err != nil {
		return err
	}
	if err = r.readExtensions(parsed.Extensions); err != nil {
		return err
	}
	if err = checkNumber(parsed.Number); err != nil {
		return err
	}
	r.list.Freshest = freshestOf(parsed.Extensions)
	r.list.Number, r.list.KeyID = parsed.Number, parsed.AuthorityKeyId
	r.list.ThisUpdate, r.list.NextUpdate = parsed.ThisUpdate, parsed.NextUpdate
	r.list.signed.signature = parsed.Signature
	if r.list.BaseNumber != nil && r.list.Number == nil { // RFC 5280 §5.2.3
		return unsupported("it is a delta CRL without number")
	}
	r.list.revoked = r.serials.set(r.throttle)
	if r.list.BaseNumber != nil {
		r.list.removed = r.removed.set(r.throttle)
	}
	return nil
}

// maxNumberOctets bounds the numbers of lists: RFC 5280 §5.2.3 allows 20 octets. To write one of a megabyte in decimal takes
// more than a second.
const maxNumberOctets = 64

// checkNumber refuses CRL numbers that are too long to be shown; nil is none.
func checkNumber(number *big.Int) error {
	if number == nil {
		return nil
	}
	if n := (number.BitLen() + 7) / 8; n > maxNumberOctets {
		return unsupported(fmt.Sprintf("its number has %d octets, more than %d", n, maxNumberOctets))
	}
	return nil
}

// readEntries reads revokedCertificates.
func (r *reader) readEntries(end int64) error {
	in := r.in
	header, end := in.enter(end)
	r.list.signed.add(header)
	for in.err == nil && in.at < end {
		r.throttle.Yield()
		piece := in.peek(end)
		read, err := r.takeEntries(piece)
		switch {
		case in.err != nil:
		case read == 0 && err != nil: // and not because the piece ends there: no good entry is as long
			return fmt.Errorf("entry %d: %w", r.list.Entries+1, err)
		case read == 0:
			return ErrMalformed
		}
		r.list.signed.add(piece[:read])
		in.discard(read)
	}
	return in.err
}

// takeEntries reads entries up to one that is not good, perhaps because it is not complete, and returns how many bytes
// they take.
//
// Entries with negative serial numbers, which RFC 5280 does not allow and which no certificate that crypto/x509 parses
// has, are counted but not kept. Those with the reason removeFromCRL are kept for a delta, where they say that the
// certificate is not revoked any more (RFC 5280 §5.3.1); a complete list must not have them, and is as if it did not.
func (r *reader) takeEntries(piece []byte) (read int, err error) {
	for rest := cryptobyte.String(piece); !rest.Empty(); read = len(piece) - len(rest) {
		serial, removed, err := readEntry(&rest)
		if err != nil {
			return read, err
		}
		r.list.Entries++
		switch {
		case serial[0] >= 0x80:
		case removed:
			r.removed.add(withoutZero(serial))
		default:
			r.serials.add(withoutZero(serial))
		}
	}
	return read, nil
}

// readEntry reads one entry and returns its serial number as it is encoded, and whether its reason is removeFromCRL.
func readEntry(entries *cryptobyte.String) (number []byte, removed bool, err error) {
	var entry, serial cryptobyte.String
	if !entries.ReadASN1(&entry, asn1.SEQUENCE) ||
		!entry.ReadASN1(&serial, asn1.INTEGER) || !minimal(serial) || !skipTime(&entry) {
		return nil, false, ErrMalformed
	}
	if n := len(withoutZero(serial)); n > maxSerialOctets {
		return nil, false, unsupported(fmt.Sprintf("the serial number has %d octets, more than %d", n, maxSerialOctets))
	}
	removed, err = checkEntryExtensions(entry)
	return serial, removed, err
}

// withoutZero returns the octets of an INTEGER without the one that only says that it is not negative.
func withoutZero(integer []byte) []byte {
	if integer[0] == 0 {
		return integer[1:]
	}
	return integer
}

// minimal reports whether these are the contents of an INTEGER in DER (X.690 §8.3.2): the first nine bits are not all
// the same.
func minimal(integer []byte) bool {
	switch len(integer) {
	case 0:
		return false
	case 1:
		return true
	}
	return !(integer[0] == 0 && integer[1] < 0x80 || integer[0] == 0xff && integer[1] >= 0x80)
}

// skipTime passes over a Time: UTCTime or GeneralizedTime. Whether it is a good one does not matter for an entry, and
// is checked by x509 for thisUpdate and nextUpdate.
func skipTime(s *cryptobyte.String) bool {
	var value cryptobyte.String
	var tag asn1.Tag
	return (s.PeekASN1Tag(asn1.UTCTime) || s.PeekASN1Tag(asn1.GeneralizedTime)) && s.ReadAnyASN1(&value, &tag)
}

// checkVersion refuses versions that are not known. Absent stands for version 1, which has no extensions.
func (r *reader) checkVersion() error {
	version := 0
	if input := cryptobyte.String(r.version); r.version != nil && !input.ReadASN1Integer(&version) {
		return ErrMalformed
	}
	switch {
	case version == 1: // which stands for version 2
		return nil
	case version == 0 && len(r.extensions) == 0:
		return nil
	}
	return unsupported(fmt.Sprintf("version %d is not known, or not to have extensions", version+1))
}

// withoutEntries has x509 parse a list that has no entries and no issuer, and is of version 2, the only one that it
// knows. signature is signatureAlgorithm and signatureValue.
func (r *reader) withoutEntries(signature []byte) (*x509.RevocationList, error) {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(1)
			b.AddBytes(r.algorithm)
			b.AddASN1(asn1.SEQUENCE, func(*cryptobyte.Builder) {})
			b.AddBytes(r.times)
			b.AddBytes(r.extensions)
		})
		b.AddBytes(signature)
	})
	der, err := b.Bytes()
	if err != nil {
		return nil, err
	}
	return x509.ParseRevocationList(der)
}
