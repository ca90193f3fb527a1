// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux || portable

package proxy

import "log/slog"

// pollers are none on this system: each direction of a session has a goroutine that waits.
type pollers struct{ log *slog.Logger }

func (p *pollers) adopt(*session) bool { return false }

func (p *pollers) stop() {}

// A post is where a pipe waits: nowhere.
type post struct{}

func (post) leave(*pipe) {}
