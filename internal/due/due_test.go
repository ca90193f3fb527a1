// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package due

import (
	"testing"
	"time"
)

const (
	hour = time.Hour
	days = 24 * hour
)

func TestWhatIsDueWhen(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	certificate := func(rule func(notBefore, notAfter time.Time) Times, life time.Duration) Times {
		return rule(end.Add(-life), end)
	}
	for name, test := range map[string]struct {
		times             Times
		warning, critical time.Duration // after the end
	}{
		"server certificate of a year":     {certificate(ServerCertificate, 365*days), -14 * days, -3 * days},
		"server certificate of 90 days":    {certificate(ServerCertificate, 90*days), -9 * days, -3 * days},
		"server certificate of a day":      {certificate(ServerCertificate, 30*hour), -3 * hour, -1 * hour},
		"CA of ten years":                  {certificate(CA, 3650*days), -30 * days, 0},
		"CA of 100 days":                   {certificate(CA, 100*days), -10 * days, 0},
		"CRL with a grace of a day":        {CRL(end, end.Add(24*hour)), 4 * hour, 20 * hour},
		"CRL with a grace of a week":       {CRL(end, end.Add(7*days)), 4 * hour, 7*days - 4*hour},
		"CRL with a grace of two hours":    {CRL(end, end.Add(2*hour)), 1 * hour, 1 * hour},
		"CRL that is refused when overdue": {CRL(end, end), 0, 0},
	} {
		if w, c := test.times.Warning.Sub(end), test.times.Critical.Sub(end); w != test.warning || c != test.critical {
			t.Errorf("%s: got a warning at %v and critical at %v, want %v and %v", name, w, c, test.warning, test.critical)
		}
	}
}

func TestDueBeginsAtItsTime(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	times := CRL(end, end.Add(24*hour))
	for after, want := range map[time.Duration][2]bool{
		0:                {false, false},
		4*hour - 1:       {false, false},
		4 * hour:         {true, false},
		20*hour - 1:      {true, false},
		20 * hour:        {true, true},
		1000 * 24 * hour: {true, true},
	} {
		now := end.Add(after)
		if got := [2]bool{times.WarningAt(now), times.CriticalAt(now)}; got != want {
			t.Errorf("%v after its next update: got %v, want %v", after, got, want)
		}
	}
	if never := CRL(time.Time{}, time.Time{}); never.WarningAt(end) || never.CriticalAt(end) {
		t.Error("a CRL without a next update is due")
	}
}
