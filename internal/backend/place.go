// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

// A Place is a session's place among the brokers, from the first attempt to connect to the session's end. Its
// methods may be called from one goroutine at a time.
//
// What became of a broker is told by one of Answered, Unreachable, Silent and Unavailable, or not at all if it says
// nothing about the broker. It is held against a broker only in the state in which the broker was chosen: what
// comes late, when it has been ejected or has returned meanwhile, is old news.
type Place struct {
	pool   *Pool
	client uint64    // hash of the client id; 0 = none
	tried  []*member // those before at
	at     *member   // nil = nowhere
	era    uint64    // of at, when it was chosen
	trial  bool      // at is on trial with this session
}

// Place returns a place for a session of the client with that id, "" for none. It is nowhere until Next, and has to
// be left in the end.
func (p *Pool) Place(clientID string) *Place {
	pl := &Place{pool: p}
	if p.cfg.Balance == ByClientID && clientID != "" {
		pl.client = hash(clientID)
	}
	return pl
}

// Next moves on to a broker that the place was not at before, and returns its IP address and port; false when there
// is none left, and then the place is nowhere.
func (pl *Place) Next() (addr string, ok bool) {
	p := pl.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	if pl.at != nil {
		pl.tried = append(pl.tried, pl.at)
		pl.leave()
	}
	m := p.choose(pl.client, pl.tried)
	if m == nil {
		return "", false
	}
	m.sessions++
	pl.at, pl.era, pl.trial = m, m.era, m.beginTrial()
	return m.addr, true
}

// Answered says that the broker has answered the CONNECT, be it with a refusal of this client.
func (pl *Place) Answered() {
	pl.pool.mu.Lock()
	defer pl.pool.mu.Unlock()
	pl.tried = nil
	if m := pl.judged(); m != nil {
		pl.pool.answered(m)
	}
}

// Unreachable says that the broker could not be dialed. An err that tells of want on this side, such as of file
// descriptors, is not held against the broker.
func (pl *Place) Unreachable(err error) {
	if !ownWant(err) {
		pl.failed(Dial, err)
	}
}

// Silent says that the broker took the CONNECT and did not answer in time.
func (pl *Place) Silent() { pl.failed(Silent, nil) }

// Unavailable says that the broker answered that it is unavailable.
func (pl *Place) Unavailable() { pl.failed(Unavailable, nil) }

func (pl *Place) failed(why Reason, err error) {
	pl.pool.mu.Lock()
	defer pl.pool.mu.Unlock()
	if m := pl.judged(); m != nil {
		pl.pool.failed(m, why, err)
	}
}

// judged returns the member that news are about, nil if they are old; the pool's mu is held.
func (pl *Place) judged() *member {
	if pl.at == nil || pl.at.era != pl.era {
		return nil
	}
	return pl.at
}

// Leave ends the place. More calls do no harm.
func (pl *Place) Leave() {
	pl.pool.mu.Lock()
	defer pl.pool.mu.Unlock()
	if pl.at != nil {
		pl.leave()
	}
}

// leave takes the session off its member; the pool's mu is held.
func (pl *Place) leave() {
	m := pl.at
	pl.at = nil
	m.sessions--
	if pl.trial && pl.era == m.era {
		m.trial = false
	}
	pl.pool.forget(m)
}
