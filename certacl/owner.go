// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/pki"
)

// maxBody bounds, in bytes, the body of an answer. An owner becomes an MQTT
// username, which cannot be longer than 65 535 bytes (MQTT 5.0, 1.5.4), and
// real ones have a few dozen.
const maxBody = 64 << 10

// What can be wrong with a body; none of them repeats a byte of it.
var (
	errBodySize  = errors.New("larger than 64 KiB")
	errNotString = errors.New("not one JSON string")
	errLossy     = errors.New("string holds invalid UTF-8, a lone surrogate or U+FFFD")
	errForeign   = errors.New("a 404 that is not certificate-acl's: the URL is wrong, or something else answers there")
)

// parseOwner returns the one JSON string that body is, with nothing but JSON
// white space around it.
//
// A string with U+FFFD is refused, however it got there. Lossy decoders leave
// that rune behind, encoding/json for invalid UTF-8 and lone surrogates, and
// one text would then stand for several identities.
func parseOwner(body []byte) (string, error) {
	if len(body) > maxBody {
		return "", errBodySize
	}
	body = bytes.TrimLeft(body, " \t\r\n") // RFC 8259, section 2: ws
	if !bytes.HasPrefix(body, []byte{'"'}) {
		return "", errNotString // null, too, which would unmarshal without an error
	}
	var owner string
	if json.Unmarshal(body, &owner) != nil {
		return "", errNotString
	}
	if strings.ContainsRune(owner, utf8.RuneError) {
		return "", errLossy
	}
	return owner, nil
}

// checkNotFound returns nil if body is certificate-acl's own way to say that
// a certificate has no owner: a JSON object with an error that names the
// fingerprint, which is one of
//
//	{"error":"The fingerprint 9A:83:… doesn't exist."}
//	{"error":"The fingerprint 9A:83:… is not associated with anything."}
//
// Others answer 404 as well when they cannot reach certificate-acl, or when the
// URL is wrong: an ingress with a page of HTML, Express with "Cannot GET …" for a
// path that is no route, an API gateway with {"message":…}, Spring and Fastify
// with {"error":"Not Found",…}. None of them knows anything about the certificate.
func checkNotFound(body []byte, fp pki.Fingerprint) error {
	if len(body) > maxBody {
		return errBodySize
	}
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return errForeign
	}
	if text, _ := members["error"].(string); !strings.Contains(text, fp.String()) {
		return errForeign
	}
	return nil
}
