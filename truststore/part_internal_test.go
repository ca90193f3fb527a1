// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"log/slog"
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

func TestNoticeInOneLine(t *testing.T) {
	t.Parallel()
	n := Notice{"CA certificate has expired", []slog.Attr{slog.String("file", "ca.crt"), slog.Time("not_after", time.Date(2026, 5, 1, 13, 37, 42, 0, time.UTC))}}
	if got, want := n.String(), "CA certificate has expired: file=ca.crt, not_after=2026-05-01T13:37:42Z"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
