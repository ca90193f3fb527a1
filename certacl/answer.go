// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import "time"

// staleBackOff is how long a remembered owner is handed out without asking
// after asking for it has failed. While certificate-acl hangs, a device that
// connects again and again waits for a timeout once per staleBackOff. It counts
// per fingerprint: a single one that certificate-acl cannot answer must not keep
// the others from being asked for.
const staleBackOff = time.Second

// answer is what certificate-acl said, or an event, and until when it holds.
type answer struct {
	owner string
	ok    bool
	stale bool // past its TTL, and asking again has failed
	told  bool // by an event

	doubtful bool // certificate-acl may not know yet of a change

	since time.Time // when it was asked for, or told

	freshUntil  time.Time // it is handed out without asking
	usableUntil time.Time // it stands in when asking fails; not before freshUntil
}

// withTimes returns a with its times, counted from now.
func (c *Cache) withTimes(a answer, now time.Time) answer {
	if !a.ok {
		a.freshUntil = now.Add(c.NegativeTTL)
		a.usableUntil = a.freshUntil
		return a
	}
	a.freshUntil = now.Add(max(c.TTL, 0))
	a.usableUntil = a.freshUntil.Add(max(c.StaleIfError, 0))
	return a
}

// asDoubtful returns a, which is to be asked for again soon.
func (a answer) asDoubtful(now time.Time) answer {
	a.doubtful = true
	if soon := now.Add(staleBackOff); a.freshUntil.After(soon) {
		a.freshUntil = soon
	}
	return a
}

// asStale returns a, which must be usable at now, to stand in for an answer that
// did not come. It is not asked for again before staleBackOff is over.
func (a answer) asStale(now time.Time) answer {
	a.stale = true
	a.freshUntil = now.Add(staleBackOff)
	if a.freshUntil.After(a.usableUntil) {
		a.freshUntil = a.usableUntil
	}
	return a
}
