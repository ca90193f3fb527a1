// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/vernegate/vernegate/proxy/listen"
)

// A portReuse reports whether other vernegates may take clients at the same
// addresses. It is off by default: otherwise a second one that is
// started by mistake would take a part of the clients, and not fail.
type portReuse bool

// UnmarshalText parses "true", where the system can do that, or "false".
func (r *portReuse) UnmarshalText(text []byte) error {
	switch string(text) {
	case "false":
		*r = false
	case "true":
		if !listen.CanShare {
			return fmt.Errorf("expected false on %s, which does not divide connections among processes", runtime.GOOS)
		}
		*r = true
	default:
		return errors.New("expected true or false")
	}
	return nil
}
