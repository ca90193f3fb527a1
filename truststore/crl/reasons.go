// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import "golang.org/x/crypto/cryptobyte"

// Reasons are the reasons for which a certificate may be revoked, one a bit as in ReasonFlags (RFC 5280 §4.2.1.13).
type Reasons uint16

// AllReasons are the eight that there are: from keyCompromise (1) to aACompromise (8).
const AllReasons Reasons = 1<<9 - 1<<1

// parseReasons reads the contents of a ReasonFlags, a BIT STRING whose first bit is the highest. Bit 0 and those behind
// the last one mean nothing.
func parseReasons(bits cryptobyte.String) (reasons Reasons, ok bool) {
	var unused uint8
	if !bits.ReadUint8(&unused) || unused > 7 || bits.Empty() && unused > 0 {
		return 0, false
	}
	for i, octet := range bits {
		for bit := range 8 {
			if n := 8*i + bit; octet&(0x80>>bit) != 0 && n <= 8 {
				reasons |= 1 << n
			}
		}
	}
	return reasons & AllReasons, true
}
