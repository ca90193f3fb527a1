// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || portable || 386 || s390x

package proxy

// Polls reports whether pollers wait for sessions.
const Polls = false

// MessageAllocations is how often a message there and back makes the server allocate: crypto/tls does in each of its own
// reads from a socket, of which the last one finds nothing.
const MessageAllocations = 2
