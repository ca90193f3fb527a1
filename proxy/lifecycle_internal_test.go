// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"math"
	"testing"
	"time"
)

// Whoever wants sessions without an end may write the largest number that there is.
func TestTheLongestLifetimeDoesNotEndSessions(t *testing.T) {
	t.Parallel()
	s := &session{server: New(Config{MaxLifetime: math.MaxInt64}), role: Devices, owner: "admin:dev1"}
	now := time.Now()
	for range 100 {
		if end := s.lifetimeEnd(now); end.Sub(now) < 50*365*24*time.Hour {
			t.Fatalf("the session ends at %v", end)
		}
	}
}
