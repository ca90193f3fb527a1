// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"testing"
	"time"
)

// Those that are asked for at the same time, as after a gap in Kafka, are not so for good, and none comes too late.
func TestRechecksDoNotStayTogether(t *testing.T) {
	t.Parallel()
	s := &Server{cfg: Config{Recheck: time.Hour}}
	first, last := time.Hour, time.Duration(0)
	for range 1000 {
		wait := s.nextRecheck(true)
		first, last = min(first, wait), max(last, wait)
	}
	if first < 48*time.Minute || first > 50*time.Minute || last < 58*time.Minute || last > time.Hour {
		t.Errorf("rechecks come after %v to %v, want 48 min to an hour", first, last)
	}
}
