// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !portable

package proxy

import "testing"

// With another version of Go than this was written for, sessions may take more memory and time than they have to.
func TestMemoryOfCryptoTLSIsKnown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{
		"rawInput":         rawInputField.known,
		"hand":             handField.known,
		"peerCertificates": peerField.known,
		"verifiedChains":   chainsField.known,
		"ekm":              exporterField.known,
	} {
		if !known {
			t.Errorf("crypto/tls.Conn has no field %s of the expected type", name)
		}
	}
}
