// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import "time"

// staleBackOff is how long a remembered owner is handed out without asking
// after asking for it failed. While certificate-acl hangs, a device that
// connects again and again waits for the time-out once in this while. The
// pause is per fingerprint: were it per Cache, one fingerprint that
// certificate-acl stumbles over would keep all others from being asked for.
const staleBackOff = time.Second

// answer is what certificate-acl said, and until when it holds.
type answer struct {
	owner string
	ok    bool
	stale bool // past its TTL, and asking again has failed

	askAt  time.Time // until then it is handed out without asking
	usable time.Time // until then it stands in when asking fails; never before askAt
}

// dated returns a with its times, counted from now.
func (c *Cache) dated(a answer, now time.Time) answer {
	if !a.ok {
		a.askAt = now.Add(c.NegativeTTL)
		a.usable = a.askAt
		return a
	}
	a.askAt = now.Add(max(c.TTL, 0))
	a.usable = a.askAt.Add(max(c.StaleIfError, 0))
	return a
}

// standIn returns a, which is usable at now, for use in place of an answer
// that did not come: not to be asked for again before staleBackOff is over.
func (a answer) standIn(now time.Time) answer {
	a.stale = true
	a.askAt = now.Add(staleBackOff)
	if a.askAt.After(a.usable) {
		a.askAt = a.usable
	}
	return a
}
