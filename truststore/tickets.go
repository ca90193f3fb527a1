// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

const (
	// ticketKeySize is what crypto/tls wants, in bytes.
	ticketKeySize = 32

	// maxTicketKeys bounds the keys that each ticket is tried with. Two
	// overlap in a rotation.
	maxTicketKeys = 16
)

// TicketKeys returns the keys of session tickets: all of them open tickets, and
// the first one seals new ones. None without files of them.
func (g *Generation) TicketKeys() [][32]byte { return g.ticketKeys }

// ticketKeys are those of all files.
type ticketKeys [][ticketKeySize]byte

// readTicketKeys reads the keys of all files, in their order. The mistakes say
// where they are, never what is there; at is the first file with one.
func readTicketKeys(files []source) (keys ticketKeys, at string, err error) {
	var mistakes []error
	for i := range files {
		more, err := readTicketKeyFile(&files[i])
		keys = append(keys, more...)
		if err != nil && at == "" {
			at = files[i].Path
		}
		mistakes = append(mistakes, err)
	}
	if len(keys) > maxTicketKeys {
		at = files[0].Path
		mistakes = append(mistakes, fmt.Errorf("there are %d ticket keys, more than %d", len(keys), maxTicketKeys))
	}
	return keys, at, errors.Join(mistakes...)
}

// readTicketKeyFile reads one key a line, in hex or base64. Empty lines and those
// that begin with # are passed over.
func readTicketKeyFile(file *source) (keys [][ticketKeySize]byte, err error) {
	if file.err != nil {
		return nil, fmt.Errorf("reading ticket key file: %w", file.err)
	}
	number := 0
	for line := range bytes.Lines(file.data) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, ok := parseTicketKey(line)
		if !ok {
			return nil, fmt.Errorf("ticket key file %s: line %d: not %d bytes in hex or base64", file.Path, number, ticketKeySize)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("ticket key file %s holds no key", file.Path)
	}
	return keys, nil
}

// parseTicketKey takes what "openssl rand -hex 32" or "-base64 32" writes.
func parseTicketKey(text []byte) (key [ticketKeySize]byte, ok bool) {
	decode := base64.StdEncoding.Strict().AppendDecode
	if len(text) == hex.EncodedLen(ticketKeySize) {
		decode = hex.AppendDecode
	}
	decoded, err := decode(nil, text)
	if err != nil || len(decoded) != ticketKeySize {
		return key, false
	}
	return [ticketKeySize]byte(decoded), true
}
