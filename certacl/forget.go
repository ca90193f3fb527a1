// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// Memory is what a Cache remembers of a certificate.
type Memory struct {
	Owner string // "" if it has none
	Owned bool
	Told  bool // by Tell; else certificate-acl has answered so

	Since       time.Time // when it was told, or asked for
	FreshUntil  time.Time // it is handed out without asking; in the past when it is to be asked for
	UsableUntil time.Time // it stands in when asking fails
}

// Remembered returns what is remembered of a certificate; ok is false if that is nothing.
func (c *Cache) Remembered(fp pki.Fingerprint) (m Memory, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	a := answer{}
	if t, held := c.heldAt(fp, now); held {
		a = c.heldAnswer(t)
	} else if c.answers != nil {
		a, _ = c.answers.Peek(fp)
	}
	if !now.Before(a.usableUntil) {
		return Memory{}, false
	}
	if !c.isFresh(a, now) {
		a.freshUntil = now
	}
	return Memory{a.owner, a.ok, a.told, a.since, a.freshUntil, a.usableUntil}, true
}

// Forget forgets a certificate, also what was told of it, and reports whether anything was remembered. The next call of
// Owner asks. A question that is under way is overtaken: its callers wait for the next one.
func (c *Cache) Forget(fp pki.Fingerprint) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overtake(fp)
	return c.drop(fp)
}

// drop is Forget without its questions. The caller holds mu.
func (c *Cache) drop(fp pki.Fingerprint) bool {
	known, held := false, false
	if c.answers != nil {
		known = c.answers.Remove(fp)
	}
	if c.tolds != nil {
		held = c.tolds.Remove(fp)
	}
	return known || held
}

// forgetStride is how many certificates ForgetOwner looks at before it lets others look.
const forgetStride = 512

// ForgetOwner forgets the certificates that are remembered as those of an owner, and returns how many those were. All
// questions that are under way are overtaken, as their answers may name it.
func (c *Cache) ForgetOwner(owner string) (n int) {
	c.mu.Lock()
	c.overtakeAll()
	keys := c.keys()
	c.mu.Unlock()
	for len(keys) > 0 {
		some := keys[:min(forgetStride, len(keys))]
		keys = keys[len(some):]
		n += c.dropThoseOf(owner, some)
	}
	return n
}

func (c *Cache) dropThoseOf(owner string, keys []pki.Fingerprint) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fp := range keys {
		if c.names(owner, fp) {
			c.overtake(fp) // it may have begun since, and would put back what stands in
			c.drop(fp)
			n++
		}
	}
	return n
}

// names reports whether owner is remembered as that of a certificate. The caller holds mu.
func (c *Cache) names(owner string, fp pki.Fingerprint) bool {
	if c.tolds != nil {
		if t, ok := c.tolds.Peek(fp); ok && t.ok && t.owner == owner {
			return true
		}
	}
	if c.answers != nil {
		if a, ok := c.answers.Peek(fp); ok && a.ok && a.owner == owner {
			return true
		}
	}
	return false
}

// keys are the certificates of which something is remembered, some of them twice. The caller holds mu.
func (c *Cache) keys() (all []pki.Fingerprint) {
	if c.answers != nil {
		all = c.answers.Keys()
	}
	if c.tolds != nil {
		all = append(all, c.tolds.Keys()...)
	}
	return all
}

// ForgetAll forgets everything, and returns of how many certificates.
func (c *Cache) ForgetAll() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	certs := make(map[pki.Fingerprint]struct{})
	for _, fp := range c.keys() {
		certs[fp] = struct{}{}
	}
	c.answers, c.tolds = nil, nil
	c.overtakeAll()
	return len(certs)
}

// Outdate has everything asked for anew that certificate-acl has answered until now, when it is needed next; it still
// stands in while asking fails. It is for a time in which changes may have been missed. What was told counts until Hold is
// over, and so does what is told for Hold from now on, as that may be told once more; CurrentOwner returns ErrDoubtful beside it.
func (c *Cache) Outdate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outdated = time.Now()
	c.overtakeAll()
}

// overtake parts with the question that is under way for a certificate, if there is one: what it asked for may have
// changed since. The caller holds mu.
func (c *Cache) overtake(fp pki.Fingerprint) {
	if f, ok := c.flights[fp]; ok {
		delete(c.flights, fp)
		close(f.overtaken)
		f.cancel()
	}
}

func (c *Cache) overtakeAll() {
	for fp := range c.flights {
		c.overtake(fp)
	}
}
