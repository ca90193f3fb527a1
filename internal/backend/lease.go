// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"container/list"
	"time"
)

// A Lease is what a session holds of the pool, from the first attempt to connect to the session's end: it counts as
// one session of the broker that Next returned last. Its methods may be called from one goroutine at a time.
//
// What became of a broker is reported by one of Succeeded, Unreachable, HandshakeFailed, Silent, Unavailable and HungUp. It counts only in
// the epoch in which the broker was chosen: what comes late, when the broker has been ejected or has returned meanwhile,
// is ignored.
type Lease struct {
	pool   *Pool
	home   uint64    // hash of the client id, where that decides the broker; 0 = it does not
	client uint64    // hash of the owner
	tried  []*member // those before member
	member *member   // nil = none
	epoch  uint64    // of member, when it was chosen
	trial  bool      // this session is the trial of member

	began time.Time     // when member accepted the session; zero = it has not
	live  *list.Element // in member.live, if it has
}

// Lease returns a lease for a session of this owner's client with that id, "" for none. It has no broker until Next, and
// has to be released in the end. What happens to all clients of an owner counts as what happens to one of them: they may
// have the broker end each other's sessions, by using one client id in turn.
func (p *Pool) Lease(owner, clientID string) *Lease {
	l := &Lease{pool: p, client: hash(owner)}
	if p.cfg.Balance == ByClientID && clientID != "" {
		l.home = hash(clientID)
	}
	return l
}

// Next moves on to a broker that the lease did not have before, and returns its IP address and port; false when there
// is none left, and then the lease has none.
func (l *Lease) Next() (addr string, ok bool) {
	p := l.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.member != nil {
		l.tried = append(l.tried, l.member)
		l.release()
	}
	m := p.choose(l.home, l.tried)
	if m == nil {
		return "", false
	}
	m.sessions++
	l.member, l.epoch, l.trial = m, m.epoch, m.beginTrial()
	return m.addr, true
}

// Succeeded says that the broker has answered the CONNECT: accepted reports whether it has let the client in.
func (l *Lease) Succeeded(accepted bool) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.tried = nil
	if m := l.current(); m != nil {
		l.pool.succeeded(m, l, accepted)
	}
}

// Unreachable says that the broker could not be dialed. An err that is about this machine, such as a lack of file
// descriptors, is not held against the broker.
func (l *Lease) Unreachable(err error) {
	if !isLocalError(err) {
		l.failed(Dial, err)
	}
}

// HandshakeFailed says that TLS with the broker did not come about. That does not depend on any client.
func (l *Lease) HandshakeFailed(err error) {
	if !isLocalError(err) {
		l.failed(TLS, err)
	}
}

// Silent says that the broker took the CONNECT and did not answer in time.
func (l *Lease) Silent() { l.failed(Silent, nil) }

// Unavailable says that the broker answered that it is unavailable.
func (l *Lease) Unavailable() { l.failed(Unavailable, nil) }

func (l *Lease) failed(why Reason, err error) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if m := l.current(); m != nil {
		l.pool.failed(m, why, err)
	}
}

// HungUp says that the broker ended the connection without an answer to the CONNECT, or that its answer was not MQTT.
func (l *Lease) HungUp(err error) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if m := l.current(); m != nil {
		l.pool.hungUp(m, l.client, err)
	}
}

// Dropped says that the broker has ended the session, which it had accepted, at that time and without a word: neither it nor
// the client has sent a DISCONNECT. It may be called once, before Release.
func (l *Lease) Dropped(at time.Time) {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if m := l.current(); m != nil && !l.began.IsZero() && at.Sub(l.began) < settleTime {
		l.pool.dropped(m, l, at)
		l.began = time.Time{}
	}
}

// current returns the member that a report is about, nil if the report comes too late; the pool's mu is held.
func (l *Lease) current() *member {
	if l.member == nil || l.member.epoch != l.epoch {
		return nil
	}
	return l.member
}

// hasLasted reports whether the broker has kept the session for settleTime for sure; the pool's mu is held.
func (l *Lease) hasLasted(now time.Time) bool {
	return !l.began.IsZero() && now.Sub(l.began) >= lastTime // zero = it was dropped
}

// Release ends the lease. More calls do no harm.
func (l *Lease) Release() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	if l.member != nil {
		l.release()
	}
}

// release takes the session off its member; the pool's mu is held.
func (l *Lease) release() {
	m := l.member
	l.member = nil
	m.sessions--
	if l.live != nil {
		m.live.Remove(l.live) // no harm if it is an element of an earlier epoch's list
	}
	if l.epoch == m.epoch {
		m.trial = m.trial && !l.trial
		if !l.began.IsZero() {
			m.drops = nil // this session ended otherwise
			m.lasted = m.lasted || l.hasLasted(time.Now())
		}
	}
	l.pool.forget(m)
}
