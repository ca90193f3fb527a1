// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux && !freebsd

package listen

// sharePort is none on this system.
const sharePort = 0
