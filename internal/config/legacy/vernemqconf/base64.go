// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"encoding/base64"
	"errors"
	"strings"
)

// Variable is the environment variable that holds a whole vernemq.conf in base64, for dojot's deployments.
const Variable = "VERNEMQ_CONF"

// Decode decodes base64 as it is found in VERNEMQ_CONF: with white space where a
// line was folded, padded or not.
func Decode(text string) ([]byte, error) {
	joined := strings.TrimRight(strings.Join(strings.Fields(text), ""), "=")
	decoded, err := base64.RawStdEncoding.DecodeString(joined)
	if err != nil {
		return nil, errors.New("expected base64 of a vernemq.conf")
	}
	return decoded, nil
}

// LooksEncoded tells base64 from a file of settings: a setting has an equals
// sign with something behind it, which base64 cannot have.
func LooksEncoded(text []byte) bool {
	_, err := Decode(string(text))
	return err == nil && len(strings.TrimSpace(string(text))) > 0
}
