// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import (
	"crypto/tls"
	"testing"
)

func TestLoopHangsWhenItStaysInOneRound(t *testing.T) {
	t.Parallel()
	var p pulse
	var w hangWatch
	look := func(times int) (hangs, changed bool) {
		for range times {
			hangs, changed = w.look(p.count.Load())
		}
		return hangs, changed
	}
	want := func(what string, hangs, changed, wantHangs, wantChanged bool) {
		t.Helper()
		if hangs != wantHangs || changed != wantChanged {
			t.Errorf("%s: got hangs %v, changed %v, want %v, %v", what, hangs, changed, wantHangs, wantChanged)
		}
	}
	hangs, changed := look(3 * hangLimit)
	want("a loop that sleeps", hangs, changed, false, false)
	for range 3 * hangLimit {
		p.wake()
		hangs, changed = look(1)
		want("a loop that is woken all the time", hangs, changed, false, false)
		p.sleep()
	}
	p.wake()
	for range 3 * hangLimit {
		p.beat()
		hangs, changed = look(1)
		want("a loop that is busy", hangs, changed, false, false)
	}
	hangs, changed = look(hangLimit - 1)
	want("a long round", hangs, changed, false, false)
	hangs, changed = look(1)
	want("a round that does not end", hangs, changed, true, true)
	hangs, changed = look(1)
	want("the same round", hangs, changed, true, false)
	p.sleep()
	hangs, changed = look(1)
	want("its end", hangs, changed, false, true)
}

// A loop that serves one client after the other does not hang, however many they are and long it takes.
func TestEachPumpIsAHeartbeat(t *testing.T) {
	t.Parallel()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.epoll.Close() })
	const clients = 5
	for range clients {
		l.ready = append(l.ready, &newUpward(t, tls.VersionTLS13).Pipe)
	}
	l.pulse.wake()
	before := l.pulse.count.Load()
	l.pump()
	if beats := (l.pulse.count.Load() - before) / 2; beats < clients {
		t.Errorf("got %d heartbeats while %d clients were served, want one each", beats, clients)
	}
}
