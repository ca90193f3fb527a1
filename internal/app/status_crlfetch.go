// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// failingIntervals is after how many intervals without success a list is worth a look:
// by then its server has been asked several times.
const failingIntervals = 3

// sourceStatus is where lists come from, and how fetching them goes.
func sourceStatus(sources []crlfetch.Status, interval time.Duration, now time.Time) (list []admin.CRLSource) {
	for _, s := range sources {
		list = append(list, admin.CRLSource{
			URL: s.Name, Origin: string(s.Origin), SizeBytes: s.Size, Changed: s.Changed, LastSuccess: s.LastSuccess, LastAttempt: s.LastAttempt,
			Next: s.Next, NextUpdate: s.Due, Error: untrusted.Text(s.Err), FailingSince: s.FailingSince, NotKept: untrusted.Text(s.NotKept), Severity: sourceSeverity(s, interval, now),
		})
	}
	return list
}

// sourceSeverity says how urgently an operator has to look at the server of a list.
func sourceSeverity(s crlfetch.Status, interval time.Duration, now time.Time) admin.Severity {
	switch {
	case s.Err == "" && s.NotKept == "":
		return admin.OK
	case s.Err == "":
		return admin.Warning
	case !s.Held, now.Sub(s.LastSuccess) > failingIntervals*interval:
		return admin.Critical
	}
	return admin.Warning
}
