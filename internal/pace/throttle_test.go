// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pace

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestThrottlePausesOnlyAfterWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		yield := func(throttle *Throttle) time.Duration {
			began := time.Now()
			throttle.Yield()
			return time.Since(began)
		}
		hurry := make(chan struct{})
		throttle := NewThrottle(hurry)
		throttle.work = workTime // whatever this machine has
		for i, step := range []struct{ worked, want time.Duration }{
			{0, 0}, {workTime - 1, 0}, {1, Pause}, {workTime - 1, 0}, {10 * workTime, Pause},
		} {
			time.Sleep(step.worked)
			if got := yield(throttle); got != step.want {
				t.Errorf("step %d: paused for %v, want %v", i, got, step.want)
			}
		}
		close(hurry)
		time.Sleep(workTime)
		if got := yield(throttle); got != 0 {
			t.Errorf("in a hurry: paused for %v, want 0", got)
		}
		if got := yield(nil); got != 0 {
			t.Errorf("without a throttle: paused for %v, want 0", got)
		}
	})
}
