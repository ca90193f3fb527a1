// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"sync/atomic"
)

// Why vernegate does not take devices.
var (
	errNoGeneration = errors.New("waiting for a first good set of trust files")
	errShuttingDown = errors.New("shutting down")
)

// readiness is whether devices may be sent here. Its zero value is ready. It
// may be used from several goroutines.
type readiness struct {
	reason atomic.Pointer[error] // nil or points to nil: ready
}

// set records the reason for not being ready, or nil.
func (r *readiness) set(reason error) { r.reason.Store(&reason) }

// err returns why devices should not be sent here, nil if they may.
func (r *readiness) err() error {
	if reason := r.reason.Load(); reason != nil {
		return *reason
	}
	return nil
}
