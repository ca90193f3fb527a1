// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// readyPatience is how long what a device needs may be missing before devices are sent elsewhere: a broker that restarts, or a
// crowd that comes back, is over by then.
const readyPatience = 30 * time.Second

// Why vernegate does not take devices.
var (
	errNoGeneration = errors.New("waiting for a first good set of trust files")
	errShuttingDown = errors.New("shutting down")
)

// notReady returns why devices should not be sent here, nil if they may.
func (a *App) notReady() error {
	if err := a.ready.err(); err != nil {
		return err
	}
	w := a.parts.Load()
	if w == nil {
		return nil
	}
	return missing(time.Now(), w.server.UsedUp(), a.noBroker(w))
}

// noBroker returns since when there has been no broker; zero = there is one, or none is needed here.
func (a *App) noBroker(w *components) time.Time {
	if !a.cfg.NeedsBroker() {
		return time.Time{}
	}
	return w.pool.NoneUp()
}

// missing returns what devices have been missing for too long, nil for nothing. A zero time is never.
func missing(now, usedUp, noBroker time.Time) error {
	for _, lack := range []struct {
		since  time.Time
		format string
	}{
		{noBroker, "no broker has been up for %v"},
		{usedUp, "file descriptors have been used up for %v"},
	} {
		if d := now.Sub(lack.since); !lack.since.IsZero() && d >= readyPatience {
			return fmt.Errorf(lack.format, d.Round(time.Second))
		}
	}
	return nil
}

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
