// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/vernegate/vernegate/e2e/stack"
)

// stayUp prints commands to try and leaves everything as it is until ctx ends, or
// vernegate does.
func stayUp(ctx context.Context, s *environment, n *printer) error {
	publish, err := s.publishLine()
	if err != nil {
		return err
	}
	n.say("\nAll stays up until Ctrl-C. The status page is at http://%s/\n", s.gate.Admin)
	n.say("Try, in another terminal:\n")
	n.say("  %s\n", publish)
	n.say("  curl -s http://%s/metrics | grep ^vernegate_\n", s.gate.Admin)
	s.broker.hook.tell(func(clientID, username string) {
		n.fact("broker", "saw username %q from client %q", username, clientID)
	})
	defer s.broker.hook.tell(nil)
	select {
	case <-ctx.Done():
		return nil
	case <-s.gate.Done():
		return fmt.Errorf("vernegate ended by itself:\n%s", s.gate.Output.Tail())
	}
}

// publishLine is a mosquitto_pub command for a device of its own.
func (s *environment) publishLine() (string, error) {
	identity, err := s.pki.WriteDevice(s.dir, "you", s.device("acme:you"))
	if err != nil {
		return "", err
	}
	args, err := stack.ToolArgs(s.gate.Devices, stack.V311)
	if err != nil {
		return "", err
	}
	args = append(args, identity...)
	args = append(args, "-u", "somebody-else", "-t", "acme:you/attrs", "-m", "hello", "-q", "1", "-d")
	return "mosquitto_pub " + strings.Join(args, " "), nil
}
