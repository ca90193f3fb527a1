// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"

	"github.com/vernegate/vernegate/bench/peer"
)

// plain puts vernegate beside a proxy that does no TLS at all: what is left of a message's cost then is the kernel's.
func (s *scaling) plain(ctx context.Context) (grid, error) {
	if err := s.makeTestbed(); err != nil {
		return grid{}, err
	}
	var contenders []*contender
	for _, kind := range []*peer.Kind{s.kind, peer.PlainHAProxy()} {
		if kind.Missing != "" {
			return grid{}, fmt.Errorf("%s needs %s", kind.Name, kind.Missing)
		}
		contenders = append(contenders, &contender{name: kind.Name, start: func(ctx context.Context) (*trial, error) {
			return s.testbed.startTrial(ctx, kind, s.testbed.ecdsa, &s.effort, nil)
		}})
	}
	return s.inTurns(ctx, "proxy", relaying, contenders)
}
