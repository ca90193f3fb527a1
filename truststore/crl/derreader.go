// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/cryptobyte/asn1"

	"github.com/vernegate/vernegate/internal/pace"
)

const (
	// pieceSize is how much of a long element there is in memory at a time.
	pieceSize = 64 << 10

	// maxElement bounds an element that is read as a whole.
	maxElement = 1 << 20

	// maxHead bounds those before the entries, such as the issuer. What is said of a list that does not count is kept with
	// its name, and a file has thousands of lists.
	maxHead = 16 << 10
)

// A derReader reads elements in DER from a stream, one after the other, whatever
// their size. Each method is told where the element around ends, counted from
// the beginning of the stream. After the first mistake, err tells it and nothing
// more is read.
type derReader struct {
	in  *bufio.Reader
	at  int64 // how much has been read
	err error
}

func newDERReader(in io.Reader) *derReader {
	return &derReader{in: bufio.NewReaderSize(in, pieceSize)}
}

// enter reads the header of a SEQUENCE and returns it, with where its contents
// end.
func (d *derReader) enter(end int64) (header []byte, inner int64) {
	size, length, ok := d.header(end, asn1.SEQUENCE)
	if !ok {
		d.fail()
		return nil, end
	}
	header = d.take(int64(size))
	return header, d.at + length
}

// leave is called where contents should end.
func (d *derReader) leave(end int64) {
	if d.at != end {
		d.fail()
	}
}

// finish is called where the stream should end.
func (d *derReader) finish() {
	if b := d.peek(d.at + 1); len(b) > 0 {
		d.fail()
	}
}

// endsAt reads on to the end of the stream, whatever is there, and reports whether that is at end.
func (d *derReader) endsAt(end int64, t *pace.Throttle) bool {
	for d.at <= end && (d.err == nil || errors.Is(d.err, ErrMalformed)) {
		t.Yield()
		n, err := d.in.Discard(pieceSize)
		d.at += int64(n)
		if err != nil {
			return err == io.EOF && d.at == end
		}
	}
	return false
}

// next reports whether an element with one of the tags comes next.
func (d *derReader) next(end int64, tags ...asn1.Tag) bool {
	_, _, ok := d.header(end, tags...)
	return ok
}

// optional reads an element with one of the tags, if one comes next.
func (d *derReader) optional(end, most int64, tags ...asn1.Tag) []byte {
	if !d.next(end, tags...) {
		return nil
	}
	return d.element(end, most, tags...)
}

// element reads an element with one of the tags, header and all, whose contents have so many bytes at most.
func (d *derReader) element(end, most int64, tags ...asn1.Tag) []byte {
	size, length, ok := d.header(end, tags...)
	switch {
	case !ok:
		d.fail()
		return nil
	case length > most:
		d.err = fmt.Errorf("%w: an element of it has %d bytes, more than %d", ErrMalformed, length, most)
		return nil
	}
	return d.take(int64(size) + length)
}

// header looks at the header of the next element, and returns its size and the
// length of the contents. It is not ok if the element has none of the tags, or
// does not fit in.
func (d *derReader) header(end int64, tags ...asn1.Tag) (size int, length int64, ok bool) {
	const longest = 6 // one octet of tag, five of length
	b := d.peek(min(end, d.at+longest))
	if len(b) < 2 || !slices.Contains(tags, asn1.Tag(b[0])) {
		return 0, 0, false
	}
	size, length, ok = 2, int64(b[1]), true
	if b[1] >= 0x80 {
		octets := int(b[1] & 0x7f)
		if size += octets; octets == 0 || size > len(b) {
			return 0, 0, false
		}
		length = 0
		for _, octet := range b[2:size] {
			length = length<<8 | int64(octet)
		}
		ok = b[2] != 0 && length >= 0x80 // as short as possible (X.690 §10.1)
	}
	return size, length, ok && length <= end-d.at-int64(size)
}

// peek looks at what comes next: a piece, or what there is until end.
func (d *derReader) peek(end int64) []byte {
	if d.err != nil {
		return nil
	}
	b, err := d.in.Peek(int(min(pieceSize, end-d.at)))
	if err != nil && err != io.EOF {
		d.err = err
	}
	return b
}

// discard passes over what has been looked at.
func (d *derReader) discard(n int) {
	_, _ = d.in.Discard(n)
	d.at += int64(n)
}

// take reads n bytes.
func (d *derReader) take(n int64) []byte {
	if d.err != nil {
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(d.in, n))
	d.at += int64(len(b))
	switch {
	case err != nil:
		d.err = err
	case int64(len(b)) < n:
		d.fail()
	}
	return b
}

// fail notes that this is no CRL, unless something came first.
func (d *derReader) fail() {
	if d.err == nil {
		d.err = ErrMalformed
	}
}
