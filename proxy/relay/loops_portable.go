// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || portable || 386 || s390x

package relay

import "log/slog"

// Polls reports whether sessions that wait do so in epoll, without a goroutine.
const Polls = false

// Loops carry the pipes of all sessions: here each pipe has a goroutine that waits. Methods may be called concurrently.
type Loops struct{}

// NewLoops makes loops. It starts nothing; Start does.
func NewLoops(*slog.Logger) *Loops { return new(Loops) }

// Start carries both directions of a session until they have ended.
func (*Loops) Start(up, down *Pipe) { startAlone(up, down) }

// Close ends the loops. Nothing may be started any more, and every session has ended.
func (*Loops) Close() {}

// Hung returns an error while a loop hangs: none can.
func (*Loops) Hung() error { return nil }

// A registration is where a pipe waits: nowhere.
type registration struct{}

// Release makes the loop forget p, which has ended.
func (*Pipe) Release() {}
