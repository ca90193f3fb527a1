// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// untilSignal returns a context that ends at the first SIGINT or SIGTERM, and calls kill with the one that comes
// after it. Signals are caught from its return until stop is called: none gets lost between the two.
func untilSignal(ctx context.Context, kill func(syscall.Signal)) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	stopped := make(chan struct{})
	go func() {
		for _, act := range []func(os.Signal){
			func(os.Signal) { cancel() },
			func(second os.Signal) { kill(second.(syscall.Signal)) },
		} {
			select {
			case s := <-signals:
				act(s)
			case <-stopped:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		cancel()
	}
}

// die ends the process as a signal does that nobody catches.
func die(s syscall.Signal) {
	signal.Reset(s)
	_ = syscall.Kill(os.Getpid(), s)
}
