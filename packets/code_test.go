// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"strings"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

// The names of 3.1.1 (table 3.1) and of 5.0 (section 2.4), in lower case.
func TestCodesAreNamedAsSpecified(t *testing.T) {
	t.Parallel()
	returns := []string{
		"connection accepted", "unacceptable protocol version", "identifier rejected",
		"server unavailable", "bad user name or password", "not authorized", "return code 6",
	}
	for code, want := range returns {
		if got := packets.ReturnCode(code).String(); got != want {
			t.Errorf("ReturnCode(%d) = %q, want %q", code, got, want)
		}
	}

	reasons := map[packets.ReasonCode]string{
		0x00: "success", 0x18: "continue authentication", 0x81: "malformed packet", 0x82: "protocol error",
		0x84: "unsupported protocol version", 0x85: "client identifier not valid", 0x87: "not authorized",
		0x88: "server unavailable", 0x8B: "server shutting down", 0x95: "packet too large",
		0x97: "quota exceeded", 0x98: "administrative action", 0x9C: "use another server", 0xA0: "maximum connect time",
	}
	for code := range 256 {
		got := packets.ReasonCode(code).String()
		want, named := reasons[packets.ReasonCode(code)]
		if named && got != want || !named && !strings.HasPrefix(got, "reason code 0x") {
			t.Errorf("ReasonCode(%#02x) = %q, want %q", code, got, want)
		}
	}
}
