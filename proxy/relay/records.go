// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
)

const (
	recordHeader = 5
	// recordLimit is the most that may follow a record header (RFC 5246 §6.2.3; less in RFC 8446 §5.2).
	recordLimit = recordSize + 2048
	// maxRecords bounds what one pump decrypts. A record of one byte takes as long as some hundred bytes, so that
	// bytes alone would let a client hold up the others of its loop.
	maxRecords = 512
	// updateCost is how many records one without data counts for: to derive the keys that a KeyUpdate asks for, and to
	// answer it, takes 5 µs, and a small record less than .5 µs.
	updateCost = 8
	// maxPostHandshake bounds the handshake message that a client may leave unfinished after the handshake, in bytes.
	// The only one that it may send is a KeyUpdate of 5 bytes (RFC 8446 §4.6.3); crypto/tls would keep 64 KiB for one.
	maxPostHandshake = 1 << 10
)

var (
	errRecordLeft    = errors.New("crypto/tls did not take the record that it was given")
	errPostHandshake = errors.New("a long handshake message after the handshake")
)

// readRecords reads from the socket into the scratch, and has crypto/tls decrypt there whatever records are complete, up to
// maxRecords. The bytes are at the beginning of s.room then. What is left over is crypto/tls's to keep, for the next time.
//
// crypto/tls is given one record at a time, in memory that ends with the record, and no way to read more. A record without
// data (RFC 8446 §4.6.3, §5.4) makes it look for the next one by itself: it finds that there is none now. So it never reads
// into, nor decrypts in, memory that anything else is in. What comes out of a record is shorter than the record: it goes in
// front of the records to come, and the processor's caches have to hold one buffer and not two.
func (p *Pipe) readRecords(s *scratch) (n int, err error) {
	kept := rawInput(p.srcTLS).Bytes()
	held := copy(s.room[:wireSize], kept)
	if _, complete := nextRecord(s.room[:held]); !complete {
		got, err := p.src.readNow(s, s.room[held:wireSize])
		if err == io.EOF && held > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		held += got
	}
	n, rest, err := p.decryptAll(s, s.room[:held])
	_, more := nextRecord(rest)
	if more {
		p.src.dry = false
	}
	if more && held == len(kept) { // nothing was read, and the next pump comes soon
		rest = kept[held-len(rest):]
	} else {
		rest = bytes.Clone(rest)
	}
	setRawInput(p.srcTLS, rest)
	if err == nil && unfinishedHandshake(p.srcTLS) > maxPostHandshake {
		err = errPostHandshake
	}
	return n, err
}

// decryptAll decrypts the complete records of wire, which is the beginning of s.room, to the beginning of s.room: as many as
// maxRecords allows.
func (p *Pipe) decryptAll(s *scratch, wire []byte) (n int, rest []byte, err error) {
	p.src.fed = true
	defer func() { p.src.fed = false }()
	for spent := 0; spent < maxRecords; spent++ {
		size, complete := nextRecord(wire)
		if !complete || err != nil {
			break
		}
		setRawInput(p.srcTLS, wire[:size:size])
		var more int
		more, err = p.srcTLS.Read(s.room[n:])
		n += more
		wire = wire[size:]
		switch {
		case err == errWouldBlock{}: // there was no data in it
			err = nil
			spent += updateCost - 1
		case err == nil && rawInput(p.srcTLS).Len() > 0:
			err = errRecordLeft
		}
	}
	return n, wire, err
}

// nextRecord returns the size of the record that b begins with, and reports whether all of it is there. A header that
// crypto/tls is going to refuse counts as a record.
func nextRecord(b []byte) (size int, complete bool) {
	if len(b) < recordHeader {
		return 0, false
	}
	body := int(binary.BigEndian.Uint16(b[recordHeader-2:]))
	if body > recordLimit {
		return recordHeader, true
	}
	return recordHeader + body, len(b) >= recordHeader+body
}

// WriteRecords writes b to c in records that hold up to size bytes, which has to be positive: small clients have no room
// for a record of 16 KiB, and crypto/tls does not know max_fragment_length (RFC 6066 §4).
func WriteRecords(c *tls.Conn, b []byte, size int) error {
	for len(b) > size {
		if _, err := c.Write(b[:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	_, err := c.Write(b)
	return err
}

// pull has crypto/tls read by itself, in memory of its own, until there is nothing more.
func (p *Pipe) pull(s *scratch) (n int, err error) {
	for range maxRecords {
		if len(s.room)-n < recordSize || err != nil {
			break
		}
		var more int
		more, err = p.srcTLS.Read(s.room[n:])
		n += more
		if p.src.raw == nil {
			return n, err // to read more would be to wait
		}
	}
	switch {
	case err == nil:
		p.src.dry = false // crypto/tls may hold more
	case err == (errWouldBlock{}) && n > 0:
		err = nil
	}
	return n, err
}
