// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// What the sizing supposes.
const (
	talkEvery = 30 * time.Second // a device says something and hears something
	comeBack  = 5 * time.Minute  // all devices are there again after they have lost their connections together
)

// sizing multiplies what was measured.
func (s *scaling) sizing(context.Context) (grid, error) {
	k := s.known
	if math.IsNaN(k.session + k.message + k.full + k.resumed + k.owner) {
		return grid{}, errors.New("it counts with what sessions, crl and owners find: measure these, too")
	}
	g := grid{head: []string{
		"devices", "descriptors", "memory, sessions", "memory, owners", "processors, one message each 30 s",
		"processors, all back in 5 min", "… resumed",
	}}
	for _, n := range []float64{100_000, 1_000_000} {
		g.add(
			fmt.Sprintf("%.0f", n), fmt.Sprintf("%.0f", 2*n),
			fmt.Sprintf("%.1f GB", n*k.session/1e9), fmt.Sprintf("%.0f MB", n*k.owner/1e6),
			number(n*k.message/talkEvery.Seconds()),
			number(n*k.full/comeBack.Seconds()), number(n*k.resumed/comeBack.Seconds()),
		)
	}
	return g, nil
}
