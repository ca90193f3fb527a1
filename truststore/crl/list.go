// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package crl reads certificate revocation lists (RFC 5280 §5) of any size: a list of a million entries takes little
// more memory than the serial numbers on it, and, with a Throttle, no processor for longer than a message may wait.
//
// It does not know which CAs are trusted: whose signature a list bears is its caller's to ask, with CheckSignature.
package crl

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/big"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
)

// ClockSkew is how far apart the clocks may be of machines that make lists, and of this one: the same five minutes that
// Kerberos allows (RFC 4120 §8.2).
const ClockSkew = 5 * time.Minute

// Errors of Parse and Read; others tell what is wrong with a list in their words alone.
var (
	// ErrMalformed: these bytes are no list, or not all of one. They do not end where their DER says.
	ErrMalformed = errors.New("no well-formed certificate revocation list")

	// ErrOdd: the list is complete, and something in it is not as it has to be.
	ErrOdd = errors.New("odd")

	// ErrUnsupported: the list is complete, and of a kind that this package does not use, such as an indirect one.
	ErrUnsupported = errors.New("not supported")
)

// unsupported is why a list is not used, in words.
type unsupported string

func (u unsupported) Error() string        { return string(u) }
func (u unsupported) Is(target error) bool { return target == ErrUnsupported }

// odd is why a list that is complete cannot be read, in words.
type odd string

func (o odd) Error() string        { return string(o) }
func (o odd) Is(target error) bool { return target == ErrOdd }

// A List is one certificate revocation list. It does not change, but for Release, and may be used by any number of
// goroutines.
type List struct {
	Issuer     string   // distinguished name, for people
	RawIssuer  []byte   // in DER, as this list encodes it
	KeyID      []byte   // of the key that it says to be signed with; nil if it does not say
	Number     *big.Int // nil if the list has none
	ThisUpdate time.Time
	NextUpdate time.Time // zero if the list has none: it is never overdue
	Entries    int       // on the list, also those that revoke nothing
	Freshest   []string  // URLs of deltas to it (RFC 5280 §5.2.6)
	Place      int       // which list of its file it is, from 1; 0 if Read has not returned it

	// BaseNumber is what makes a list a delta (RFC 5280 §5.2.4): it says only what has changed since the complete list of
	// this number. It is nil for a complete list.
	BaseNumber *big.Int

	scope   scope
	revoked *serialSet
	removed *serialSet // what a delta takes off the complete list
	delta   *List      // applied to this list
	signed  *signed
}

// Parse reads one DER-encoded CertificateList (RFC 5280 §5.1), which ends where the stream does. The signature remains
// to be checked. With an error, the list is nil, or only its issuer is good: that is known as soon as it has been read.
func Parse(der io.Reader, t *pace.Throttle) (*List, error) {
	r := reader{in: newDERReader(der), throttle: t, list: &List{signed: new(signed)}}
	err := r.read()
	if err != nil && !errors.Is(err, ErrUnsupported) && r.in.endsAt(r.end, t) {
		err = odd(err.Error())
	}
	if err != nil && r.list.RawIssuer == nil {
		return nil, err
	}
	return r.list, err
}

// CheckSignature returns an error unless the list is signed with the key of the certificate. It must not be called
// after Release.
func (l *List) CheckSignature(signer *x509.Certificate) error { return l.signed.check(signer) }

// Release gives up what only CheckSignature needs, which may be as much as the whole list.
func (l *List) Release() { l.signed = nil }

// Has reports whether the list revokes a serial number.
func (l *List) Has(serial *big.Int) bool {
	if l.delta == nil {
		return l.revoked.has(serial)
	}
	return l.delta.revoked.has(serial) || l.revoked.has(serial) && !l.delta.removed.has(serial)
}

// HasBytes reports whether the list revokes a serial number, big-endian and without leading zeros. A nil list revokes
// none.
func (l *List) HasBytes(serial []byte) bool {
	switch {
	case l == nil:
		return false
	case l.delta == nil:
		return l.revoked.hasBytes(serial)
	}
	return l.delta.revoked.hasBytes(serial) || l.revoked.hasBytes(serial) && !l.delta.removed.hasBytes(serial)
}

// Serials iterates over the serial numbers that the list revokes, in no order, big-endian and without leading zeros.
// Each is valid until the next.
func (l *List) Serials() iter.Seq[[]byte] {
	if l.delta == nil {
		return l.revoked.all()
	}
	return l.combined
}

// Scope returns the IssuingDistributionPoint extension (RFC 5280 §5.2.5), which tells the parts of a partitioned list
// from each other: of lists of one CA with equal scopes, one replaces the other. It is "" for a list about everything.
func (l *List) Scope() string { return l.scope.extension }

// Covers returns the reasons for which the list would revoke the certificate with these distribution points, provided that
// its issuer is that of the list: none if the list does not speak of it.
func (l *List) Covers(points *Points) Reasons { return l.scope.covers(points) }

// Includes reports whether a list speaks of all that another one of its CA speaks of. One that names a URL as its
// distribution point is what the CA has there for everybody, whatever names the other one has.
func (l *List) Includes(other *List, url string) bool { return l.scope.includes(&other.scope, url) }

// NewerThan orders two lists of one CA and scope by time. Times that are no further apart than ClockSkew may come from two
// machines of the CA: then the number decides (RFC 5280 §5.2.3), unless one has none or both have the same. Over a
// longer time it does not, as a CA that was restored from a backup counts anew.
func (l *List) NewerThan(other *List) bool {
	switch {
	case l.muchLaterThan(other):
		return true
	case other.muchLaterThan(l):
		return false
	case l.Number == nil || other.Number == nil || l.Number.Cmp(other.Number) == 0:
		return l.ThisUpdate.After(other.ThisUpdate)
	}
	return l.Number.Cmp(other.Number) > 0
}

// muchLaterThan reports whether a list is from later, whatever the clocks.
func (l *List) muchLaterThan(other *List) bool {
	return l.ThisUpdate.Sub(other.ThisUpdate) > ClockSkew
}

// Age says where the list stands among others of its kind.
func (l *List) Age() string {
	if l.Number == nil {
		return "of " + l.ThisUpdate.Format(time.RFC3339)
	}
	return fmt.Sprintf("number %v of %s", l.Number, l.ThisUpdate.Format(time.RFC3339))
}
