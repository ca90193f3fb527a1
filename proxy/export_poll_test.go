// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package proxy

import "time"

// Polls reports whether pollers wait for sessions.
const Polls = true

// MessageAllocations is how often a message there and back makes the server allocate.
const MessageAllocations = 0

// TestingOnlyStall has what carries sessions call f before it does, and be looked at all the time.
func (s *Server) TestingOnlyStall(f func()) { s.loops.TestingOnlyStall(f, 5*time.Millisecond) }
