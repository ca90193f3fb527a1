// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// drainSignal has a vernegate drain, however often it comes. Kubernetes may run a preStop hook more than once, and sends
// SIGTERM right behind it.
const drainSignal = syscall.SIGUSR1

// untilSignal returns a context that ends at the first SIGINT, SIGTERM or drainSignal, and calls kill with the second SIGINT
// or SIGTERM. Signals are caught from its return until stop is called: none gets lost between the two.
func untilSignal(ctx context.Context, kill func(syscall.Signal)) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, drainSignal)
	stopped := make(chan struct{})
	go func() {
		for told := false; ; {
			select {
			case s := <-signals:
				cancel()
				switch {
				case s == drainSignal:
				case told:
					kill(s.(syscall.Signal))
					return
				default:
					told = true
				}
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
