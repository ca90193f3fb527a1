// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend

import (
	"context"
	"time"
)

const (
	// defaultConfirmTimeout is as long as a broker has for CONNECTs of clients by default.
	defaultConfirmTimeout = 5 * time.Second
	// confirmPause is how long what happens to clients does not count after a broker was found to be well: whoever brings
	// that about must not have us speak to the broker without end.
	confirmPause = 10 * time.Second
	// doubtTime is how long a broker that has never served us stays ejected for not serving us. It may be one that serves
	// everybody else, and when all are ejected, nobody may come any more who could show that.
	doubtTime = 15 * time.Minute
)

// A Confirm is a client of the broker at addr, an IP address and a port: it says what keeps the broker from serving any
// client, nil for nothing. A refusal of this one client is nothing. A session that the broker accepts has to last for hold.
// It returns soon after ctx is done.
type Confirm func(ctx context.Context, addr string, hold time.Duration) error

// A suspicion is what happened to clients at a broker.
type suspicion struct {
	why  Reason
	err  error // behind why; nil = why says it all
	test bool  // Confirm is being asked
}

// suspect is called when what happened to clients at m would have it ejected. Clients can bring that about, alone or a few
// together. So m is ejected only if the same happens to us, if there is a way to find out; p.mu is held.
func (p *Pool) suspect(m *member, why Reason, err error) {
	if p.cfg.Confirm == nil {
		p.eject(m, why, err)
		return
	}
	if m.suspicion == nil && time.Since(m.confirmed) >= confirmPause {
		m.suspicion, m.served, m.lasted = &suspicion{why: why, err: err}, false, false
		p.wakeRun()
	}
}

// suspects returns the members that are to be confirmed now; p.mu is held.
func (p *Pool) suspects() (list []*member) {
	for _, m := range p.members {
		if m.suspicion != nil && !m.suspicion.test {
			m.suspicion.test = true
			list = append(list, m)
		}
	}
	return list
}

// askToServe asks m, as a client, whether what happened to clients happens to us, too.
func (p *Pool) askToServe(ctx context.Context, m *member, why Reason) error {
	hold := time.Duration(0)
	if why == Reset {
		hold = settleTime
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.ConfirmTimeout+hold)
	defer cancel()
	err := p.cfg.Confirm(ctx, m.addr, hold)
	if err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		m.servedUs = true
	}
	return err
}

// happensToClients reports whether a broker that clients meet this at can be dialed all the same.
func happensToClients(why Reason) bool {
	return why == Silent || why == Unavailable || why == Closed || why == Reset
}

// disproved reports whether clients have not met this at m since it was ejected or suspected. That they are served says more
// than that we are not: a broker may want something of its clients that we do not have.
func (m *member) disproved(why Reason, now time.Time) bool {
	if why == Reset {
		oldest := m.live.Front()
		return m.lasted || oldest != nil && oldest.Value.(*Lease).hasLasted(now)
	}
	return m.served
}

// hasToServeUs reports whether m has to serve us before it returns.
func (p *Pool) hasToServeUs(m *member, now time.Time) bool {
	return p.cfg.Confirm != nil && m.state == Ejected && happensToClients(m.reason) && !m.disproved(m.reason, now) &&
		(m.servedUs || now.Sub(m.since) < doubtTime)
}

// confirm finds out whether m is to be ejected for what happened to clients.
func (p *Pool) confirm(ctx context.Context, m *member) {
	p.mu.Lock()
	s, epoch := m.suspicion, m.epoch
	p.mu.Unlock()
	if s == nil { // it was ejected meanwhile, or is gone
		return
	}
	err := p.askToServe(ctx, m, s.why)

	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil || m.epoch != epoch || m.gone {
		return
	}
	m.suspicion, m.confirmed = nil, time.Now()
	switch {
	case isLocalError(err):
	case err != nil && m.disproved(s.why, time.Now()):
		p.keep(m, s, "backend is kept: it serves other clients, if not ours", err)
	case err != nil:
		if s.err == nil {
			s.err = err
		}
		p.eject(m, s.why, s.err)
	default:
		m.vouch(s.why)
		p.keep(m, s, "backend is kept: what happens to some clients does not happen to us", s.err)
	}
}

// vouch ends the trial of m, if it is on trial: our own session has lasted for as long as it takes.
func (m *member) vouch(why Reason) {
	if now := time.Now(); m.state == Returning && why == Reset && !m.proven(now) {
		m.vouched, m.answered = true, now.Add(-settleTime)
	}
}

// keep ends a suspicion that has come to nothing; p.mu is held.
func (p *Pool) keep(m *member, s *suspicion, message string, err error) {
	m.connectFailures, m.hangUps, m.drops = 0, nil, nil
	attrs := []any{"backend", m.addr, "name", m.name, "why", string(s.why)}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	p.cfg.Logger.Warn(message, attrs...)
}
