// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

// A Lease is what a session holds of the pool, from the first attempt to connect to the session's end: it counts as
// one session of the broker that Next returned last. Its methods may be called from one goroutine at a time.
//
// What became of a broker is reported by one of Succeeded, Unreachable, Silent and Unavailable, or by none if it says
// nothing about the broker. It counts only in the epoch in which the broker was chosen: what comes late, when the broker
// has been ejected or has returned meanwhile, is ignored.
type Lease struct {
	pool   *Pool
	client uint64    // hash of the client id; 0 = none
	tried  []*member // those before member
	member *member   // nil = none
	epoch  uint64    // of member, when it was chosen
	trial  bool      // this session is the trial of member
}

// Lease returns a lease for a session of the client with that id, "" for none. It has no broker until Next, and has to
// be released in the end.
func (p *Pool) Lease(clientID string) *Lease {
	l := &Lease{pool: p}
	if p.cfg.Balance == ByClientID && clientID != "" {
		l.client = hash(clientID)
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
	m := p.choose(l.client, l.tried)
	if m == nil {
		return "", false
	}
	m.sessions++
	l.member, l.epoch, l.trial = m, m.epoch, m.beginTrial()
	return m.addr, true
}

// Succeeded says that the broker has answered the CONNECT, be it with a refusal of this client.
func (l *Lease) Succeeded() {
	l.pool.mu.Lock()
	defer l.pool.mu.Unlock()
	l.tried = nil
	if m := l.current(); m != nil {
		l.pool.succeeded(m)
	}
}

// Unreachable says that the broker could not be dialed. An err that is about this machine, such as a lack of file
// descriptors, is not held against the broker.
func (l *Lease) Unreachable(err error) {
	if !isLocalError(err) {
		l.failed(Dial, err)
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

// current returns the member that a report is about, nil if the report comes too late; the pool's mu is held.
func (l *Lease) current() *member {
	if l.member == nil || l.member.epoch != l.epoch {
		return nil
	}
	return l.member
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
	if l.trial && l.epoch == m.epoch {
		m.trial = false
	}
	l.pool.forget(m)
}
