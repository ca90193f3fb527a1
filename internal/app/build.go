// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

// Build says how a binary was made. No field is empty.
type Build struct {
	Version string // of the module, "(devel)" from a tree without version control
	Commit  string // "unknown" likewise; "+dirty" behind it if the tree had changes
	Go      string // the toolchain, such as go1.26.0
}
