// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"bytes"
	"errors"
	"regexp"
)

// tokenSyntax is what a bearer token may consist of (RFC 6750 §2.1).
var tokenSyntax = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// ParseToken reads the content of a file with a bearer token. White space around it
// does not count, as files end with a new line. The error does not quote it.
func ParseToken(content []byte) (string, error) {
	token := bytes.TrimSpace(content)
	if !tokenSyntax.Match(token) {
		return "", errors.New("expected one bearer token: letters, digits or any of ._~+/- and nothing else")
	}
	return string(token), nil
}
