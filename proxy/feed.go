// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	recordHeader = 5
	// recordLimit is the most that may follow a record header (RFC 5246 §6.2.3; less in RFC 8446 §5.2).
	recordLimit = recordSize + 2048
)

// feed reads from the socket into the workspace, and has crypto/tls decrypt there whatever records are complete. It
// is not asked for more than that: to find out that there is nothing more would cost it an allocation, and to make
// room for a record a buffer, which it keeps.
//
// What comes out of a record is shorter than the record, so that it goes in front of those to come, and the processor's
// caches have to hold one buffer and not two.
func (p *pipe) feed(ws *workspace) (n int, err error) {
	in := rawInput(p.srcTLS)
	if in == nil || p.src.raw == nil {
		return p.pull(ws)
	}
	held := copy(ws.room[:], in.Bytes()) // of a record that had not come in full
	got, err := p.src.readNow(ws, ws.room[held:wireSize])
	if err != nil {
		if err == io.EOF && held > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	*in = *bytes.NewBuffer(ws.room[:held+got])
	for err == nil && beginsWithRecord(in.Bytes()) {
		var more int
		more, err = p.srcTLS.Read(ws.room[n:])
		n += more
	}
	fit(in)
	if err == (errWouldBlock{}) && n > 0 {
		err = nil
	}
	return n, err
}

// beginsWithRecord tells whether crypto/tls can go on with b without more bytes: there is a record, or a header that
// it is going to refuse.
func beginsWithRecord(b []byte) bool {
	if len(b) < recordHeader {
		return false
	}
	size := int(binary.BigEndian.Uint16(b[recordHeader-2:]))
	return size > recordLimit || len(b) >= recordHeader+size
}

// fit replaces the memory of b by as much as its bytes need.
func fit(b *bytes.Buffer) { *b = *bytes.NewBuffer(bytes.Clone(b.Bytes())) }
