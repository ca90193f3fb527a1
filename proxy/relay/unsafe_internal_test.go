// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import "testing"

// With another version of Go than this was written for, sessions may take more memory and time than they have to.
func TestMemoryOfCryptoTLSIsKnown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{
		"rawInput":         rawInputField.known,
		"input":            inputField.known,
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
