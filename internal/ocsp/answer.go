// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Status is what a responder has said of a certificate (RFC 6960 §2.2).
type Status uint8

// The statuses. The zero value is none of them.
const (
	Good Status = iota + 1
	Revoked
	Unknown // the responder does not know the certificate
)

// String returns the name of the status as RFC 6960 has it.
func (s Status) String() string {
	switch s {
	case Good:
		return "good"
	case Revoked:
		return "revoked"
	case Unknown:
		return "unknown"
	}
	return fmt.Sprintf("Status(%d)", uint8(s))
}

const (
	// clockSkew is how far a responder's clock may be from this machine's: the same as for CRLs.
	clockSkew = 5 * time.Minute

	// newerAvailable is how long an answer holds that has no nextUpdate: "newer revocation information is available all
	// the time" (RFC 6960 §4.2.2.1). oldest is how old such an answer may be when it comes. One with a nextUpdate may be as
	// old as that allows.
	newerAvailable = 5 * time.Minute
	oldest         = 24 * time.Hour

	// shortest is how long an answer holds at least. So one that ends while it is on its way, or that a fast clock takes for
	// ended, does not have every client asked about twice.
	shortest = 10 * time.Second

	// unknownFor is how long a certificate is unknown at most. A responder may hear of a new one a moment later.
	unknownFor = time.Minute
)

// Answer is a status that a responder has signed, and until when it holds.
type Answer struct {
	Status     Status
	ThisUpdate time.Time
	Until      time.Time // it is used no longer than that
	RevokedAt  time.Time // zero unless revoked
	Reason     int       // why it is revoked, as RFC 5280 §5.3.1 numbers it
}

// until returns how long an answer holds that comes at now.
func (a Answer) until(nextUpdate, now time.Time) time.Time {
	end := nextUpdate
	if end.IsZero() {
		end = now.Add(newerAvailable)
	}
	if least := now.Add(shortest); end.Before(least) {
		end = least
	}
	if most := now.Add(unknownFor); a.Status == Unknown && end.After(most) {
		end = most
	}
	return end
}

// refreshAt returns when to ask again for an answer that came at now: after a half to three quarters of its time, and
// after most at the latest. So those that came together are not asked for together.
func (a Answer) refreshAt(now time.Time, most time.Duration) time.Time {
	left := a.Until.Sub(now)
	wait := time.Duration(float64(left) * (0.5 + 0.25*rand.Float64()))
	if most > 0 {
		wait = min(wait, time.Duration(float64(most)*(0.75+0.25*rand.Float64())))
	}
	return now.Add(wait)
}
