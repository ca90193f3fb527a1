// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build race

package stack

// Race reports whether this program runs under the race detector: then the
// binary under test does as well.
const Race = true
