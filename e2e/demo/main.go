// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows in a terminal what vernegate does. It builds the real binary
// and runs it between real clients, a certificate-acl stand-in and an MQTT broker,
// all on loopback, with a PKI that is thrown away afterwards. Every step checks
// what it shows: the exit code is 0 only if all was as it should be.
//
// With STAY=1 everything stays up afterwards until Ctrl-C, for those who want to
// try it by hand.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// timeout bounds all steps, the build not included.
const timeout = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Getenv("STAY") == "1", os.Stdout, os.Stderr))
}

// run runs the demo, which prints to stdout, and returns the exit code.
func run(ctx context.Context, stay bool, stdout, stderr io.Writer) int {
	if err := show(ctx, stay, newPrinter(stdout)); err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

// show starts the environment, runs the steps and, if stay is set, leaves all as it is until
// ctx ends.
func show(ctx context.Context, stay bool, n *printer) error {
	n.say("building vernegate and starting it with what it needs …")
	s, err := startEnvironment(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	n.fact("vernegate", "TLS on %s, metrics on http://%s/metrics", s.gate.Devices, s.gate.Admin)
	n.fact("broker", "plain MQTT on %s, lets everybody in", s.broker.addr)
	n.fact("certificate-acl", "%s", s.acl.URL)

	if err := runSteps(ctx, s, n); err != nil {
		return fmt.Errorf("%w\nvernegate printed:\n%s", err, s.gate.Output.Tail())
	}
	if stay {
		return stayUp(ctx, s, n)
	}
	return s.gate.Stop()
}

// runSteps runs every step.
func runSteps(ctx context.Context, s *environment, n *printer) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for i, step := range steps {
		n.step(i+1, step.title)
		if err := step.run(ctx, s, n); err != nil {
			return fmt.Errorf("step %d, %s: %w", i+1, step.title, err)
		}
	}
	n.say("")
	n.say("All %d steps went as they should.", len(steps))
	return nil
}
