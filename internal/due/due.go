// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package due is the one rule for when somebody has to look at what expires. The status page, vernegate check and the metrics
// that alerts compare with the clock all take their times from here, so that they agree.
//
// It knows no files and no certificates, only their times.
package due

import "time"

// What is renewed by a machine is renewed well before these times; what is left then is the time for people to find out why it
// was not. A short life is divided instead: a certificate that is renewed daily is due on its last day.
const (
	day = 24 * time.Hour

	serverWarning  = 14 * day
	serverCritical = 3 * day
	caWarning      = 30 * day // devices may need new certificates, which takes longer

	warningPart  = 10 // of its life is left
	criticalPart = 30
)

// A CRL is late every day where it is copied every few hours: dojot's for nearly two.
const (
	usuallyLate = 4 * time.Hour
	beforeGrace = 4 * time.Hour // that the grace ends, a CRL is critical
)

// Times are when something has to be looked at. A zero time is never.
type Times struct {
	Warning  time.Time // on the next day
	Critical time.Time // now; not before Warning
}

// ServerCertificate returns when a certificate that clients verify is due: without it no client connects.
func ServerCertificate(notBefore, notAfter time.Time) Times {
	life := notAfter.Sub(notBefore)
	return Times{
		Warning:  notAfter.Add(-min(serverWarning, life/warningPart)),
		Critical: notAfter.Add(-min(serverCritical, life/criticalPart)),
	}
}

// CA returns when a CA of clients is due. It is critical when it has expired, and its clients with it: before that, no hurry
// helps more than a successor beside it.
func CA(notBefore, notAfter time.Time) Times {
	return Times{
		Warning:  notAfter.Add(-min(caWarning, notAfter.Sub(notBefore)/warningPart)),
		Critical: notAfter,
	}
}

// CRL returns when a CRL is due that should have been replaced at nextUpdate and is used until goodUntil, which is not before;
// after that, the clients of its CA are refused. A zero nextUpdate is never due.
func CRL(nextUpdate, goodUntil time.Time) Times {
	if nextUpdate.IsZero() {
		return Times{}
	}
	grace := goodUntil.Sub(nextUpdate)
	critical := max(grace/2, grace-beforeGrace)
	return Times{
		Warning:  nextUpdate.Add(min(usuallyLate, critical)),
		Critical: nextUpdate.Add(critical),
	}
}

// WarningAt reports whether somebody should have a look, or should even have come at once.
func (t Times) WarningAt(now time.Time) bool { return !t.Warning.IsZero() && !now.Before(t.Warning) }

// CriticalAt reports whether somebody should come at once.
func (t Times) CriticalAt(now time.Time) bool { return !t.Critical.IsZero() && !now.Before(t.Critical) }
