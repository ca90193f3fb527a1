// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/proxy"
)

var noon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func refused(reason proxy.Reason, who string, at time.Time) proxy.SessionInfo {
	c := proxy.SessionInfo{Reason: reason, Remote: who + ":1", Ended: at}
	if reason > proxy.TLSNoCert {
		c.Fingerprint, c.Subject, c.Verified = fingerprint(who), "CN="+who, reason > proxy.TLSExpired
	}
	return c
}

func TestHistoryCountsByMinute(t *testing.T) {
	t.Parallel()
	var h admin.History
	for minute := range 90 { // more than are kept
		for range minute {
			h.Count(proxy.IdentityUnknown, noon.Add(time.Duration(minute)*time.Minute))
		}
	}
	h.Count(proxy.TLSRevoked, noon.Add(89*time.Minute+59*time.Second))
	hour := h.Hour(noon.Add(89 * time.Minute))
	if len(hour) != 60 {
		t.Fatalf("got %d minutes, want 60", len(hour))
	}
	for i, counts := range hour {
		if got, want := counts[proxy.IdentityUnknown], i+30; got != want {
			t.Errorf("minute %d: got %d, want %d", i, got, want)
		}
	}
	if hour[59][proxy.TLSRevoked] != 1 {
		t.Errorf("got %v, want one tls_revoked in the last minute", hour[59])
	}
	for i, counts := range h.Hour(noon.Add(3 * time.Hour)) {
		if len(counts) > 0 {
			t.Errorf("hours later, minute %d has %v", i, counts)
		}
	}
}

func TestHistoryCountsAlsoAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	var h admin.History
	for minute := range 60 {
		h.Count(proxy.IdentityUnknown, noon.Add(24*time.Hour+time.Duration(minute)*time.Minute))
	}
	h.Count(proxy.IdentityUnknown, noon)
	for i, counts := range h.Hour(noon) {
		if got, want := counts[proxy.IdentityUnknown], i/59; got != want {
			t.Errorf("minute %d: got %d, want %d", i, got, want)
		}
	}
}

func TestHistoryMergesWhoComesAgain(t *testing.T) {
	t.Parallel()
	var h admin.History
	for i := range 5 {
		h.Add(refused(proxy.IdentityUnknown, "lamp", noon.Add(time.Duration(i)*time.Second)))
		h.Add(refused(proxy.TLSNoCert, "192.0.2.1", noon.Add(time.Duration(i)*time.Second)))
	}
	h.Add(refused(proxy.TLSRevoked, "lamp", noon.Add(time.Minute)))
	got := h.Refusals("")
	if len(got) != 3 {
		t.Fatalf("got %d refusals, want 3", len(got))
	}
	if first := got[0]; first.Reason != proxy.TLSRevoked || first.Times != 1 {
		t.Errorf("first is %v, %d times, want the last one", first.Reason, first.Times)
	}
	for _, r := range got[1:] {
		if r.Times != 5 || !r.Ended.Equal(noon.Add(4*time.Second)) {
			t.Errorf("%v: %d times, last %v, want 5 times and the last", r.Reason, r.Times, r.Ended)
		}
	}
}

// Whoever has no certificate of ours can be many, and does not crowd out those who have one.
func TestHistoryIsBoundedAndKeepsDevices(t *testing.T) {
	t.Parallel()
	var h admin.History
	h.Add(refused(proxy.IdentityUnknown, "lamp", noon))
	for i := range 500 {
		h.Add(refused(proxy.TLSNoCert, fmt.Sprintf("192.0.2.%d", i), noon.Add(time.Second)))
		h.Add(refused(proxy.TLSUntrusted, fmt.Sprintf("stranger %d", i), noon.Add(time.Second)))
		h.Add(refused(proxy.TLSExpired, fmt.Sprintf("stranger with an old certificate %d", i), noon.Add(time.Second)))
	}
	if got := h.Refusals(""); len(got) != 101 {
		t.Errorf("got %d refusals, want 100 of strangers and the lamp's", len(got))
	}
	if got := h.Refusals("lamp"); len(got) != 1 {
		t.Errorf("got %d refusals of the lamp, want 1", len(got))
	}
	for i := range 500 {
		h.Add(refused(proxy.TLSRevoked, fmt.Sprintf("device %d", i), noon.Add(2*time.Second)))
	}
	if got := h.Refusals(""); len(got) != 200 || got[0].Subject != "CN=device 499" {
		t.Errorf("got %d refusals, the first of %s; want 200 and that of the last device", len(got), got[0].Subject)
	}
}

func TestHistoryIsSearched(t *testing.T) {
	t.Parallel()
	var h admin.History
	c := refused(proxy.IdentityUnavailable, "lamp", noon)
	c.Owner, c.ClientID, c.Serial, c.Issuer, c.Detail, c.Backend = "acme:Lamp", "client-7", "5d8c1f", "CN=Plant", "timeout", "vernemq:1883"
	h.Add(c)
	h.Add(refused(proxy.TLSTimeout, "192.0.2.9", noon))
	for _, text := range []string{
		"identity_un", "ACME:LAMP", "client-7", "5D8C", "plant", "timeout: no", "cn=lamp", c.Fingerprint, strings.ToLower(c.Fingerprint), "vernemq",
	} {
		want := 1
		if text == "timeout: no" {
			want = 0
		}
		if got := h.Refusals(text); len(got) != want {
			t.Errorf("%q: got %d refusals, want %d", text, len(got), want)
		}
	}
}

// A drain, and sessions that have lived long enough, are no refusals.
func TestHistoryLeavesRoutineOut(t *testing.T) {
	t.Parallel()
	var h admin.History
	for _, reason := range []proxy.Reason{proxy.Shutdown, proxy.MaxLifetime} {
		h.Add(refused(reason, "lamp", noon))
		h.Count(reason, noon)
	}
	if got := h.Refusals(""); len(got) > 0 || len(h.Hour(noon)[59]) > 0 {
		t.Errorf("got %v, and %v in the last minute", got, h.Hour(noon)[59])
	}
}

func TestHistoryIsForManyGoroutines(t *testing.T) {
	t.Parallel()
	var h admin.History
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 1000 {
				h.Add(refused(proxy.TLSRevoked, fmt.Sprint(i, n), noon))
				h.Count(proxy.TLSRevoked, noon)
				if n%100 == 0 {
					h.Refusals("lamp")
					h.Hour(noon)
				}
			}
		})
	}
	all.Wait()
	if got := h.Hour(noon)[59][proxy.TLSRevoked]; got != 8000 {
		t.Errorf("got %d, want 8000", got)
	}
}
