// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"encoding/base64"
	"errors"
	"strings"
	"unicode/utf8"
)

// Variable is the environment variable that holds a whole vernemq.conf in base64, for dojot's deployments.
const Variable = "VERNEMQ_CONF"

// Decode decodes base64 as it is found in VERNEMQ_CONF: with white space where a
// line was folded, padded or not, and of base64 where it was encoded twice.
func Decode(text string) ([]byte, error) {
	decoded, err := decodeOnce(text)
	if err != nil {
		return nil, errors.New("expected base64 of a vernemq.conf")
	}
	for {
		inner, err := decodeOnce(string(decoded))
		if err != nil || !utf8.Valid(inner) || len(inner) == 0 {
			return decoded, nil
		}
		decoded = inner
	}
}

func decodeOnce(text string) ([]byte, error) {
	joined := strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	return base64.RawStdEncoding.DecodeString(joined)
}

// LooksEncoded reports whether text is base64 and not a file of settings: a setting has an equals
// sign with something behind it, which base64 cannot have.
func LooksEncoded(text []byte) bool {
	_, err := Decode(string(text))
	return err == nil && len(strings.TrimSpace(string(text))) > 0
}
