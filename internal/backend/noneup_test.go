// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSinceWhenNoBrokerIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		f := newFleet(t, nil, one, two)
		want := func(when string, want time.Time) {
			t.Helper()
			if got := f.NoneUp(); !got.Equal(want) {
				t.Errorf("%s: got %v, want %v", when, got, want)
			}
		}
		want("at the beginning", time.Time{})
		f.setDead(one, true)
		f.setDead(two, true)
		f.keep()
		time.Sleep(time.Second)
		f.refuse(one)
		want("with one of two", time.Time{})
		time.Sleep(time.Second)
		f.refuse(two)
		second := begin.Add(2 * time.Second)
		want("with none", second)
		time.Sleep(10 * time.Minute)
		want("after many probes that failed", second)
		f.setDead(one, false)
		time.Sleep(time.Minute)
		want("when one is back", time.Time{})
	})
}

func TestNoBrokerIsUpWhileNamesAreUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, nil, "vernemq:1883")
		begin := time.Now()
		time.Sleep(time.Minute)
		if got := f.NoneUp(); !got.Equal(begin) {
			t.Errorf("got %v, want %v, when it began", got, begin)
		}
	})
}
