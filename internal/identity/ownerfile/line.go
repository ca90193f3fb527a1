// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerfile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// maxLine bounds a line, in bytes: an owner cannot be longer than 65 535, and a certificate has to fit into a
// handshake message.
const maxLine = 128 << 10

// blanks stand between key and owner.
const blanks = " \t"

// isComment reports whether a line says nothing.
func isComment(line []byte) bool {
	line = bytes.TrimLeft(line, blanks)
	return len(line) == 0 || line[0] == '#'
}

// parseLine takes a line apart that is no comment. The owner is what stands behind the last blank.
func parseLine(line []byte) (k key, isSubject bool, owner []byte, err error) {
	line = bytes.Trim(line, blanks)
	i := bytes.LastIndexAny(line, blanks)
	if i < 0 {
		return k, false, nil, errors.New("expected a key, a blank and an owner")
	}
	text, owner := bytes.TrimRight(line[:i], blanks), line[i+1:]
	if !utf8.Valid(owner) {
		return k, false, nil, errors.New("the owner is not valid UTF-8")
	}
	if bytes.IndexByte(text, '=') >= 0 {
		name, err := pki.ParseName(string(text))
		if err != nil {
			return k, true, nil, fmt.Errorf("reading a subject: %s", untrusted.Text(err.Error()))
		}
		return subjectKey(name), true, owner, nil
	}
	k, ok := parseFingerprint(text)
	if !ok {
		return k, false, nil, fmt.Errorf("expected a SHA-256 fingerprint (64 hexadecimal digits, or pairs of them with colons) or a subject such as CN=lamp,O=acme, not %s",
			untrusted.Text(string(text[:min(len(text), 120)])))
	}
	return k, false, owner, nil
}

// parseFingerprint reads a SHA-256 fingerprint in hexadecimal, of any letter case, with colons between all pairs or
// none.
func parseFingerprint(text []byte) (k key, ok bool) {
	const colons = 3*len(k) - 1
	switch len(text) {
	case 2 * len(k):
		_, err := hex.Decode(k[:], text)
		return k, err == nil
	case colons:
		for i := range k {
			if i > 0 && text[3*i-1] != ':' {
				return k, false
			}
			if _, err := hex.Decode(k[i:i+1], text[3*i:3*i+2]); err != nil {
				return k, false
			}
		}
		return k, true
	}
	return k, false
}
