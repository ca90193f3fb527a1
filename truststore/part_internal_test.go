// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// The time that reading takes is none in which a file was seen to stay the same.
func TestReadingIsNoSettling(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	files := []File{{Path: "ca.crt"}}
	var c candidate
	for _, look := range []struct {
		began, took time.Duration
		settled     bool
	}{
		{0, 0, false},
		{300 * time.Millisecond, 2 * watch.SettleDelay, false},
		{watch.SettleDelay - 1, 2 * watch.SettleDelay, false},
		{watch.SettleDelay, 0, true},
	} {
		began := begin.Add(look.began)
		if got := c.hasSettled(files, &attempt{began: began, now: began.Add(look.took)}); got != look.settled {
			t.Errorf("read for %v from %v on: got %v, want %v", look.took, look.began, got, look.settled)
		}
	}
	if c.hasSettled(nil, &attempt{began: begin.Add(time.Hour), now: begin.Add(time.Hour)}) {
		t.Error("another version has settled at once")
	}
}
