// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
)

const (
	// recheckers is how many owners are asked for again at a time, and as many of those that could not be told the last time.
	recheckers = 16
	// recheckSpread is the part of the interval by which rechecks differ, so that those that came at the same time do not do
	// so for good.
	recheckSpread = 0.2
	// recheckRetry is how soon an owner is asked for again that could not be told, at most.
	recheckRetry = time.Minute
)

// RecheckNow ends the live sessions of a certificate that Config.Owner names another owner for, or none, and returns how
// many those are. Call it after Config.Owner has begun to answer so. It asks in the calling goroutine. Sessions that are being established when it is
// called are looked at as soon as they live.
func (s *Server) RecheckNow(fp pki.Fingerprint) (ended int) {
	s.changes.note(fp)
	if c := s.live.certOf(fp); c != nil {
		return s.recheckOwner(c)
	}
	return 0
}

// RecheckSoon has the owners of the live sessions that match f asked for anew, evenly spread over a time, and returns how
// many sessions those are. 0 = at once, as far as Config.Owner answers. None is asked for later than it would have been
// anyway, and those that cannot be told are asked for again within a minute. Sessions that are being established when it
// is called are looked at as soon as they live.
func (s *Server) RecheckSoon(f Filter, over time.Duration) (sessions int) {
	if f.Fingerprint != (pki.Fingerprint{}) {
		s.changes.note(f.Fingerprint)
	} else {
		s.changes.noteAll()
	}
	now := time.Now()
	when := func() time.Time { return now.Add(time.Duration(float64(over) * rand.Float64())) }
	if over == 0 {
		when = atOnce
	}
	if f.ID != 0 || f.Owner != "" || f.Fingerprint != (pki.Fingerprint{}) {
		found := s.live.lookUp(&f, 0, -1)
		s.live.recheckAt(found, when)
		return len(found)
	}
	for chunk := range s.live.walk(0) {
		sessions += s.live.recheckMatching(chunk, &f, when)
	}
	return sessions
}

// RecheckWhere ends the live sessions of certificates that Config.Owner names another owner for, or none, if differs reports
// that it may. Call it after Config.Owner has begun to answer so. It looks at all live sessions without being felt, returns
// when it has, and ends early with ctx. Sessions that are being established when it is called are looked at as soon as they
// live.
func (s *Server) RecheckWhere(ctx context.Context, differs func(Peer) bool) {
	s.changes.noteAll()
	throttle := pace.NewThrottle(ctx.Done())
	var asking errgroup.Group
	asking.SetLimit(recheckers)
	for chunk := range s.live.walk(0) {
		for _, c := range s.live.certsOf(chunk) {
			throttle.Yield()
			if ctx.Err() != nil {
				break
			}
			if peer, err := s.live.peerOf(c); err == nil && differs(peer) {
				asking.Go(func() error { s.recheckOwner(c); return nil })
			}
		}
	}
	_ = asking.Wait()
}

// certsOf returns the certificates of sessions, each once, without those of sessions that have left.
func (r *registry) certsOf(sessions []*session) []*clientCert {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := make(map[*clientCert]bool, len(sessions))
	var certs []*clientCert
	for _, s := range sessions {
		if c := s.live.cert; c != nil && !seen[c] {
			seen[c] = true
			certs = append(certs, c)
		}
	}
	return certs
}

func (r *registry) certOf(fp pki.Fingerprint) *clientCert {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.certs[fp]
}

// recheckAt has the owners of sessions asked for at a time of their own, unless that is to be sooner anyway.
func (r *registry) recheckAt(sessions []*session, when func() time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range sessions {
		r.recheckCert(s.live.cert, when)
	}
}

// recheckMatching is recheckAt for those that match, and returns how many do.
func (r *registry) recheckMatching(sessions []*session, f *Filter, when func() time.Time) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range sessions {
		if f.matches(s) {
			r.recheckCert(s.live.cert, when)
			n++
		}
	}
	return n
}

// atOnce is before all that is overdue.
func atOnce() time.Time { return time.Time{} }

// recheckCert has the owner of a certificate asked for; c is nil when its session has left. mu must be held.
func (r *registry) recheckCert(c *clientCert, when func() time.Time) {
	if c == nil {
		return
	}
	at := when()
	if at.IsZero() {
		c.untold.Store(false) // or it might be put off
	}
	if c.recheck.index == 0 || at.Before(c.recheck.at) {
		r.rechecks.set(&c.recheck, at)
	}
}

// recheckAgain is recheckCert for a certificate that may have lost its last session meanwhile.
func (r *registry) recheckAgain(c *clientCert, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.certs[c.fp] == c {
		r.recheckCert(c, func() time.Time { return at })
	}
}

// firstRecheck spreads the questions for owners over the interval. Zero means never.
func (s *session) firstRecheck(now time.Time) time.Time {
	interval := s.server.cfg.Recheck
	if interval == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(float64(interval) * rand.Float64()))
}

// startRecheckers returns a func that hands a certificate to one of them, and waits while all are busy. Those whose owner
// could not be told the last time have recheckers of their own and are put off while these are busy: else, where
// certificate-acl hangs for some, the others would wait, too.
func (s *Server) startRecheckers() func(*clientCert) {
	told, untold := s.startCrew(), s.startCrew()
	return func(c *clientCert) {
		if c.untold.Load() {
			select {
			case untold <- c:
			default:
				s.recheckIn(c, s.nextRecheck(false))
			}
			return
		}
		select {
		case told <- c:
		case <-s.ctx.Done():
		}
	}
}

// startCrew starts recheckers that take certificates from a channel.
func (s *Server) startCrew() chan<- *clientCert {
	certs := make(chan *clientCert)
	for range recheckers {
		s.running.Go(func() {
			for {
				select {
				case c := <-certs:
					s.recheck(c)
				case <-s.ctx.Done():
					return
				}
			}
		})
	}
	return certs
}

// recheck finds out anew who the owner of a certificate with live sessions is.
func (s *Server) recheck(c *clientCert) {
	_, told := s.askAgain(c)
	c.untold.Store(!told)
	if wait := s.nextRecheck(told); wait > 0 {
		s.recheckIn(c, wait)
	}
}

// recheckIn sets the timer of a certificate that has fired.
func (s *Server) recheckIn(c *clientCert, wait time.Duration) {
	s.live.resetTimer(&s.live.rechecks, &c.recheck, time.Now().Add(wait))
}

// nextRecheck is in how long to ask again after an owner was told, or could not be; 0 = never.
func (s *Server) nextRecheck(told bool) time.Duration {
	interval := s.cfg.Recheck
	if told {
		return time.Duration(float64(interval) * (1 - recheckSpread*rand.Float64()))
	}
	retry := time.Duration(float64(recheckRetry) * (0.5 + 0.5*rand.Float64()))
	if interval == 0 {
		return retry
	}
	return min(interval, retry)
}

// recheckOwner is recheck at another time than that of its timer.
func (s *Server) recheckOwner(c *clientCert) (ended int) {
	ended, told := s.askAgain(c)
	if !told {
		s.live.recheckAgain(c, time.Now().Add(s.nextRecheck(false)))
	}
	return ended
}

// askAgain ends the live sessions of a certificate that have another owner than it has now, and reports whether that
// could be told for good.
func (s *Server) askAgain(c *clientCert) (ended int, told bool) {
	peer, err := s.live.peerOf(c)
	if err != nil {
		return 0, false
	}
	var id identity
	id.askOwner(s.ctx, s.cfg.Owner, peer)
	for _, session := range s.live.sessionsOf(c) {
		if !id.keeps(session) {
			session.stop(OwnerChanged, nil)
			ended++
		}
	}
	return ended, id.err == nil && !id.soon
}

// ownerChanges count what RecheckNow and RecheckSoon were called for. A session that is established notes the count of
// its certificate before it asks for the owner, and compares when it lives: a change in between did not find it.
// Certificates share counters, so that a difference is a reason to ask again and decides nothing.
type ownerChanges struct {
	all  atomic.Uint64
	some [1024]atomic.Uint64
}

func (c *ownerChanges) counter(fp pki.Fingerprint) *atomic.Uint64 {
	return &c.some[(int(fp[0])<<8|int(fp[1]))%len(c.some)]
}

func (c *ownerChanges) note(fp pki.Fingerprint) { c.counter(fp).Add(1) }
func (c *ownerChanges) noteAll()                { c.all.Add(1) }

func (c *ownerChanges) count(fp pki.Fingerprint) uint64 { return c.all.Load() + c.counter(fp).Load() }
