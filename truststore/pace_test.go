// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestPaceRestsOnlyAfterAStretch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		breathe := func(p *pace) time.Duration {
			began := time.Now()
			p.breathe()
			return time.Since(began)
		}
		hurry := make(chan struct{})
		p := newPace(hurry)
		for i, step := range []struct{ worked, want time.Duration }{
			{0, 0}, {stretch - 1, 0}, {1, rest}, {stretch - 1, 0}, {10 * stretch, rest},
		} {
			time.Sleep(step.worked)
			if got := breathe(p); got != step.want {
				t.Errorf("step %d: rested for %v, want %v", i, got, step.want)
			}
		}
		close(hurry)
		time.Sleep(stretch)
		if got := breathe(p); got != 0 {
			t.Errorf("in a hurry: rested for %v, want 0", got)
		}
		if got := breathe(nil); got != 0 {
			t.Errorf("without a pace: rested for %v, want 0", got)
		}
	})
}
