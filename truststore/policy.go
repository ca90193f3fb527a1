// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import "fmt"

// Policy decides about clients whose revocation is not known for certain.
type Policy uint8

// Policies. The zero value is Allow.
const (
	Allow Policy = iota
	Deny
)

// String returns the policy as it is configured: "allow" or "deny".
func (p Policy) String() string {
	switch p {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// UnmarshalText accepts exactly what String returns for the known policies.
func (p *Policy) UnmarshalText(text []byte) error {
	switch string(text) {
	case "allow":
		*p = Allow
	case "deny":
		*p = Deny
	default:
		return fmt.Errorf("%q is neither allow nor deny", text)
	}
	return nil
}

// CANames is whether clients are told the names of the CAs, as a help to choose
// a certificate. Most have one, and small ones no room for the names of many CAs.
type CANames uint8

// The zero value is CANamesAuto.
const (
	// CANamesAuto: as long as there is room for them in a handshake.
	CANamesAuto CANames = iota
	// CANamesAll: always. A set of CAs whose names do not fit is refused.
	CANamesAll
	// CANamesNone: never.
	CANamesNone
)

// String returns the value as it is configured: "auto", "all" or "none".
func (n CANames) String() string {
	switch n {
	case CANamesAuto:
		return "auto"
	case CANamesAll:
		return "all"
	case CANamesNone:
		return "none"
	}
	return fmt.Sprintf("CANames(%d)", uint8(n))
}

// UnmarshalText accepts exactly what String returns for the known values.
func (n *CANames) UnmarshalText(text []byte) error {
	for _, known := range []CANames{CANamesAuto, CANamesAll, CANamesNone} {
		if string(text) == known.String() {
			*n = known
			return nil
		}
	}
	return fmt.Errorf("%q is neither auto, all nor none", text)
}

// Result is what came of reading the files once.
type Result uint8

// Results of reading the files.
const (
	// Unchanged: all parts are those of the current generation.
	Unchanged Result = iota
	// Swapped: parts have changed, and there is another current generation.
	Swapped
	// Settling: parts are good but lack something, and have not been the
	// same for long enough. Others may have changed.
	Settling
	// Refused: parts are no good, and keep their last good version. Others
	// may have changed.
	Refused
)

// String returns a short lower-case word, fit for a metric label.
func (r Result) String() string {
	switch r {
	case Unchanged:
		return "unchanged"
	case Swapped:
		return "swapped"
	case Settling:
		return "settling"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("Result(%d)", uint8(r))
}
