// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Validity of a list made without ThisUpdate and NextUpdate, measured from now.
const (
	defaultCRLAge      = time.Minute
	defaultCRLLifetime = 24 * time.Hour
)

var (
	oidECDSAWithSHA256 = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidSHA256WithRSA   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidAuthorityKeyID  = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLNumber       = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidReasonCode      = asn1.ObjectIdentifier{2, 5, 29, 21}
)

// CRLOptions says what a certificate revocation list holds. Its zero value is
// an empty list with number 0, issued a minute ago and due in 24 hours.
type CRLOptions struct {
	// Number is the CRL number; a negative one leaves the extension out.
	Number int64

	// ThisUpdate and NextUpdate are whole seconds; zero means the default.
	ThisUpdate, NextUpdate time.Time

	// NoNextUpdate leaves the nextUpdate field out.
	NoNextUpdate bool

	// Revoked and Serials are what the list revokes, in this order.
	Revoked []*x509.Certificate
	Serials []*big.Int

	// Removed are what a delta takes off its base: entries with the reason
	// removeFromCRL. Extensions have to make it a delta.
	Removed []*big.Int

	// Fill adds so many made-up entries, FillSerial(0) and on: a quick way
	// to a list of a million.
	Fill int

	// Extensions and EntryExtensions are added to the list and to each
	// entry of Revoked and Serials.
	Extensions, EntryExtensions []pkix.Extension

	// RawIssuer is the name of the issuer as it is encoded; nil is that of
	// the CA's certificate.
	RawIssuer []byte

	// VersionOne makes a list of version 1, which has no extensions: neither
	// number nor any other.
	VersionOne bool

	// WrongSignature spoils the signature.
	WrongSignature bool
}

// CRL returns a DER-encoded list signed by ca. It builds the list by
// itself because x509.CreateRevocationList refuses to make most of the odd
// ones that a reader has to cope with.
func (ca *CA) CRL(opts CRLOptions) []byte {
	tbs := must(ca.tbsCertList(opts).Bytes())
	digest := sha256.Sum256(tbs)
	signature := must(ca.Key.Sign(rand.Reader, digest[:], crypto.SHA256))
	if opts.WrongSignature {
		signature[len(signature)-1] ^= 1
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		b.AddBytes(ca.signatureAlgorithm())
		b.AddASN1BitString(signature)
	})
	return must(b.Bytes())
}

// FillSerial returns the serial number of the n-th made-up entry of a list
// with CRLOptions.Fill: 20 octets long, the longest that RFC 5280 allows, and
// in no order.
func FillSerial(n int) *big.Int {
	serial := fillSerial(n)
	return new(big.Int).SetBytes(serial[:])
}

func fillSerial(n int) [20]byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	serial := [20]byte(sum[:20])
	serial[0] = serial[0]&0x7f | 0x40 // positive, and no leading zero
	return serial
}

// tbsCertList builds the part that is signed (RFC 5280 §5.1.2).
func (ca *CA) tbsCertList(opts CRLOptions) *cryptobyte.Builder {
	now := time.Now()
	if opts.ThisUpdate.IsZero() {
		opts.ThisUpdate = now.Add(-defaultCRLAge)
	}
	if opts.RawIssuer == nil {
		opts.RawIssuer = ca.Cert.RawSubject
	}
	if opts.NextUpdate.IsZero() {
		opts.NextUpdate = now.Add(defaultCRLLifetime)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if !opts.VersionOne {
			b.AddASN1Int64(1) // version 2
		}
		b.AddBytes(ca.signatureAlgorithm())
		b.AddBytes(opts.RawIssuer)
		addTime(b, opts.ThisUpdate)
		if !opts.NoNextUpdate {
			addTime(b, opts.NextUpdate)
		}
		if entries := opts.entries(); len(entries) > 0 {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(entries) })
		}
		if !opts.VersionOne {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
				b.AddBytes(must(asn1.Marshal(ca.extensions(opts))))
			})
		}
	})
	return &b
}

func (ca *CA) extensions(opts CRLOptions) []pkix.Extension {
	var aki cryptobyte.Builder
	aki.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) {
			b.AddBytes(ca.Cert.SubjectKeyId)
		})
	})
	list := []pkix.Extension{{Id: oidAuthorityKeyID, Value: must(aki.Bytes())}}
	if opts.Number >= 0 {
		list = append(list, pkix.Extension{Id: oidCRLNumber, Value: must(asn1.Marshal(opts.Number))})
	}
	return append(list, opts.Extensions...)
}

func (ca *CA) signatureAlgorithm() []byte {
	switch ca.Key.(type) {
	case *ecdsa.PrivateKey:
		return must(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidECDSAWithSHA256}))
	case *rsa.PrivateKey:
		return must(asn1.Marshal(pkix.AlgorithmIdentifier{Algorithm: oidSHA256WithRSA, Parameters: asn1.NullRawValue}))
	}
	panic(fmt.Sprintf("certtest: signing a CRL with a key of type %T", ca.Key))
}

// entries returns the contents of revokedCertificates.
func (opts CRLOptions) entries() []byte {
	when := opts.ThisUpdate.UTC()
	var out []byte
	for _, cert := range opts.Revoked {
		out = append(out, opts.entry(cert.SerialNumber, when)...)
	}
	for _, serial := range opts.Serials {
		out = append(out, opts.entry(serial, when)...)
	}
	for _, serial := range opts.Removed {
		removed := opts
		removed.EntryExtensions = []pkix.Extension{{Id: oidReasonCode, Value: []byte{0x0a, 1, 8}}}
		out = append(out, removed.entry(serial, when)...)
	}
	return opts.appendFill(out, when)
}

func (opts CRLOptions) entry(serial *big.Int, when time.Time) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(serial)
		addTime(b, when)
		if len(opts.EntryExtensions) > 0 {
			b.AddBytes(must(asn1.Marshal(opts.EntryExtensions)))
		}
	})
	return must(b.Bytes())
}

// appendFill appends the made-up entries. All of them look alike but for their
// serial number, so one is built and the others are copied.
func (opts CRLOptions) appendFill(out []byte, when time.Time) []byte {
	if opts.Fill == 0 {
		return out
	}
	const serialAt = 4 // behind tag and length of the SEQUENCE and of the INTEGER
	opts.EntryExtensions = nil
	entry := opts.entry(FillSerial(0), when)
	for n := range opts.Fill {
		serial := fillSerial(n)
		copy(entry[serialAt:], serial[:])
		out = append(out, entry...)
	}
	return out
}

// addTime encodes a time as RFC 5280 §5.1.2.4 demands: UTCTime until 2049,
// GeneralizedTime from then on.
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC()
	if t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}
