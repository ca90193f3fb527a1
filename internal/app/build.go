// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"github.com/vernegate/vernegate/proxy/listen"
	"github.com/vernegate/vernegate/proxy/relay"
)

// Build says how a binary was made. No field is empty.
type Build struct {
	Version string // of the module, "(devel)" from a tree without version control
	Commit  string // "unknown" likewise; "+dirty" behind it if the tree had changes
	Go      string // the toolchain, such as go1.26.0
}

// CompiledIn names what this binary has and another one for another system, or with
// other build tags, may lack.
func CompiledIn() []string {
	var names []string
	if relay.Polls {
		names = append(names, "epoll")
	}
	if listen.CanShare {
		names = append(names, "reuse-port")
	}
	return names
}
