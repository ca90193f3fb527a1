// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// A packetReader reads a stream packet by packet.
type packetReader struct{ *bufio.Reader }

// next reads one whole packet. io.EOF is the orderly end of the stream between two
// packets and io.ErrUnexpectedEOF every end inside of one.
func (r packetReader) next() ([]byte, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	length, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, inside(err)
	}
	header := binary.AppendUvarint([]byte{first}, length)
	p := append(header, make([]byte, length)...)
	_, err = io.ReadFull(r, p[len(header):])
	return p, inside(err)
}

// inside is what the end of a stream is called inside a packet.
func inside(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
