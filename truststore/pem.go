// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"encoding/pem"
	"fmt"
)

// PEM types that the files hold (RFC 7468 §4, and what OpenSSL writes).
const (
	pemCertificate  = "CERTIFICATE"
	pemCRL          = "X509 CRL"
	pemPKCS8Key     = "PRIVATE KEY"
	pemPKCS1Key     = "RSA PRIVATE KEY"
	pemSEC1Key      = "EC PRIVATE KEY"
	pemECParameters = "EC PARAMETERS"
)

var (
	pemDashes = []byte("-----")
	pemBegin  = []byte("-----BEGIN ")
)

// readPEM returns every block of a PEM file. Unlike a loop around pem.Decode,
// which skips what it cannot read, it refuses a file with anything in it that
// looks like a block and is none: a file that is being written in place ends
// in the middle of one. Text between blocks is allowed, as bundles have it.
func readPEM(data []byte) ([]*pem.Block, error) {
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
		case looksLikePEM(text, whole):
			return nil, fmt.Errorf("line %d: %q begins no PEM block", line, clip(text))
		}
		line++
		data = rest
	}
	return blocks, nil
}

// readPEMBlock decodes the block that data begins with and returns how many
// bytes it takes: up to the next line of dashes, which has to be its end.
func readPEMBlock(data []byte) (*pem.Block, int, error) {
	begin, rest, _ := cutLine(data)
	kind, ok := bytes.CutSuffix(begin[len(pemBegin):], pemDashes)
	if !ok {
		return nil, 0, fmt.Errorf("%q begins no PEM block", clip(begin))
	}
	for ended := false; !ended; {
		if len(rest) == 0 {
			return nil, 0, fmt.Errorf("the PEM block of type %q does not end", clip(kind))
		}
		var text []byte
		text, rest, _ = cutLine(rest)
		ended = bytes.HasPrefix(text, pemDashes)
	}
	n := len(data) - len(rest)
	block, _ := pem.Decode(data[:n])
	if block == nil {
		return nil, 0, fmt.Errorf("the PEM block of type %q does not decode", clip(kind))
	}
	return block, n, nil
}

// looksLikePEM tells whether a line outside of any block is a piece of one.
// Lines of dashes alone are decoration, unless they may yet become more.
func looksLikePEM(text []byte, whole bool) bool {
	if !whole {
		return bytes.HasPrefix(text, pemDashes[:1])
	}
	return bytes.HasPrefix(text, pemDashes) && len(bytes.Trim(text, "-")) > 0
}

// cutLine returns the first line without trailing white space, what follows
// it, and whether it had an end.
func cutLine(data []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(data, []byte("\n"))
	return bytes.TrimRight(line, " \t\r"), rest, whole
}

// clip bounds what an error quotes of a file.
func clip(text []byte) []byte {
	const most = 64
	return text[:min(len(text), most)]
}
