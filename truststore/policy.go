// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import "fmt"

// Policy decides about clients whose revocation cannot be told for certain.
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

// Result is what came of one look at the files.
type Result uint8

// Results of a look.
const (
	// Unchanged: the files are those of the current generation.
	Unchanged Result = iota
	// Swapped: the files have become the current generation.
	Swapped
	// Settling: the files are good but take trust away, and have not been
	// the same for long enough.
	Settling
	// Refused: the files are no good; the current generation serves on.
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
