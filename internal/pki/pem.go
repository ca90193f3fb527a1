// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"encoding/pem"
	"fmt"
)

var (
	pemDashes = []byte("-----")
	pemBegin  = []byte("-----BEGIN ")
	pemEnd    = []byte("-----END ")

	// byteOrderMark is what some editors put before UTF-8. OpenSSL skips it before PEM.
	byteOrderMark = []byte("\xef\xbb\xbf")
)

// WithoutBOM returns text without the byte order mark at its beginning.
func WithoutBOM(text []byte) []byte { return bytes.TrimPrefix(text, byteOrderMark) }

// ReadPEM returns every block of a PEM file. Unlike a loop around pem.Decode, which skips what it cannot read, it
// refuses a file that holds a piece of a block: a file that is being written in place ends in the middle of one. Other
// text between blocks is allowed, as bundles have it.
func ReadPEM(data []byte) ([]*pem.Block, error) {
	data = WithoutBOM(data)
	var blocks []*pem.Block
	for line := 1; len(data) > 0; {
		text, rest, whole := cutLine(data)
		switch {
		case bytes.HasPrefix(text, pemBegin):
			block, n, err := readPEMBlock(data)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", line, err)
			}
			blocks = append(blocks, block)
			line += bytes.Count(data[:n], []byte("\n"))
			data = data[n:]
			continue
		case IsPieceOfPEM(text, whole):
			return nil, fmt.Errorf("line %d: %q begins no PEM block", line, Clip(text))
		}
		line++
		data = rest
	}
	return blocks, nil
}

// readPEMBlock decodes the block that data begins with and returns how many bytes it takes: up to the next line of
// dashes, which has to be its end.
func readPEMBlock(data []byte) (*pem.Block, int, error) {
	begin, rest, _ := cutLine(data)
	kind, ok := bytes.CutSuffix(begin[len(pemBegin):], pemDashes)
	if !ok {
		return nil, 0, fmt.Errorf("%q begins no PEM block", Clip(begin))
	}
	for ended := false; !ended; {
		if len(rest) == 0 {
			return nil, 0, fmt.Errorf("the PEM block of type %q does not end", Clip(kind))
		}
		var text []byte
		text, rest, _ = cutLine(rest)
		ended = bytes.HasPrefix(text, pemDashes)
	}
	n := len(data) - len(rest)
	block, _ := pem.Decode(data[:n])
	if block == nil {
		return nil, 0, fmt.Errorf("the PEM block of type %q does not decode", Clip(kind))
	}
	return block, n, nil
}

// IsPieceOfPEM reports whether a line outside of any block, without the white space at its end, is a piece of one:
// it begins or ends a block, or is cut, because the file ends there, and may yet come to do so. Other lines are
// comments, also those with dashes.
func IsPieceOfPEM(line []byte, whole bool) bool {
	for _, boundary := range [][]byte{pemBegin, pemEnd} {
		if bytes.HasPrefix(line, boundary) || !whole && len(line) > 0 && bytes.HasPrefix(boundary, line) {
			return true
		}
	}
	return false
}

// cutLine returns the first line without trailing white space, what follows it, and whether it had an end.
func cutLine(data []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(data, []byte("\n"))
	return bytes.TrimRight(line, " \t\r"), rest, whole
}

// Clip bounds what an error quotes of a file.
func Clip(text []byte) []byte {
	const most = 64
	return text[:min(len(text), most)]
}
