// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"cmp"
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// How much is kept of the past. With every text as long as the proxy lets it
// be, all of it takes about a megabyte.
const (
	minutes     = 60  // of counts
	keptClients = 100 // that are remembered, known ones and strangers each
)

// History remembers what has been refused lately: how much for each reason and
// minute, and who. The zero value is empty and ready. It may be used from many
// goroutines.
type History struct {
	mu     sync.Mutex
	ring   [minutes]minute // a minute of Unix time is at its number modulo the length
	known  recent          // clients with a certificate of a CA of ours
	others recent          // kept apart, so that they cannot push the known ones out
}

// minute counts what was refused in one minute of Unix time.
type minute struct {
	number int64
	counts map[proxy.Reason]int
}

// A Refusal is a client that was refused, or put out, for one reason; however
// often in a row, it is one Refusal.
type Refusal struct {
	proxy.SessionInfo     // the last one
	Times             int // how often
}

// routine endings are forced, but no refusals: they happen to everybody.
func routine(r proxy.Reason) bool { return r == proxy.MaxLifetime || r == proxy.Shutdown }

// Count counts the end of a connection, for proxy.Config.CountForced.
func (h *History) Count(r proxy.Reason, ended time.Time) {
	if routine(r) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.minuteAt(ended).counts[r]++
}

// Add remembers whose connection has ended. It is a proxy.Config.OnForced, and
// counts nothing: in a flood, most are counted and not remembered.
func (h *History) Add(c proxy.SessionInfo) {
	if routine(c.Reason) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.Verified {
		h.known.add(c)
	} else {
		h.others.add(c)
	}
}

// minuteAt returns the count of that minute. It takes the place of any other one: a later one is from before the clock was
// set back.
func (h *History) minuteAt(t time.Time) *minute {
	number := t.Unix() / 60
	m := &h.ring[number%minutes]
	if m.number != number || m.counts == nil {
		*m = minute{number, make(map[proxy.Reason]int)}
	}
	return m
}

// Hour returns the counts of the last 60 minutes, that of now last.
func (h *History) Hour(now time.Time) []map[proxy.Reason]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	hour := make([]map[proxy.Reason]int, minutes)
	last := now.Unix() / 60
	for i := range hour {
		number := last - minutes + 1 + int64(i)
		hour[i] = make(map[proxy.Reason]int)
		if m := h.ring[number%minutes]; m.number == number {
			for reason, n := range m.counts {
				hour[i][reason] = n
			}
		}
	}
	return hour
}

// Refusals returns who was refused lately, the last one first. With a text,
// only those that have it in the reason or in what is known of the client, in
// any case.
func (h *History) Refusals(text string) []Refusal {
	h.mu.Lock()
	all := append(h.known.all(), h.others.all()...)
	h.mu.Unlock()
	all = slices.DeleteFunc(all, func(r Refusal) bool { return !r.Mentions(text) })
	slices.SortStableFunc(all, func(a, b Refusal) int { return b.Ended.Compare(a.Ended) })
	return all
}

// recent remembers the clients that were refused last.
type recent struct {
	order   list.List // of *Refusal, the last one first
	clients map[client]*list.Element
}

// A client is told from others by its certificate, or else by its address
// without the port.
type client struct {
	reason      proxy.Reason
	fingerprint string
	host        string
}

func clientOf(c *proxy.SessionInfo) client {
	if c.Fingerprint != "" {
		return client{reason: c.Reason, fingerprint: c.Fingerprint}
	}
	colon := strings.LastIndexByte(c.Remote, ':')
	return client{reason: c.Reason, host: c.Remote[:max(colon, 0)]}
}

func (r *recent) add(c proxy.SessionInfo) {
	if r.clients == nil {
		r.clients = make(map[client]*list.Element)
	}
	key := clientOf(&c)
	if e := r.clients[key]; e != nil {
		refusal := e.Value.(*Refusal)
		refusal.SessionInfo = c
		refusal.Times++
		r.order.MoveToFront(e)
		return
	}
	r.clients[key] = r.order.PushFront(&Refusal{c, 1})
	if r.order.Len() > keptClients {
		oldest := r.order.Remove(r.order.Back()).(*Refusal)
		delete(r.clients, clientOf(&oldest.SessionInfo))
	}
}

func (r *recent) all() (refusals []Refusal) {
	for e := r.order.Front(); e != nil; e = e.Next() {
		refusals = append(refusals, *e.Value.(*Refusal))
	}
	return refusals
}

// reasonCount is how often there was a reason.
type reasonCount struct {
	Reason proxy.Reason
	Count  int
}

// sumReasons adds up counts, the most frequent reason first.
func sumReasons(hour []map[proxy.Reason]int) []reasonCount {
	sums := make(map[proxy.Reason]int)
	for _, counts := range hour {
		for reason, n := range counts {
			sums[reason] += n
		}
	}
	return ranked(sums)
}

// ranked sorts counts, the highest first.
func ranked(counts map[proxy.Reason]int) (list []reasonCount) {
	for reason, n := range counts {
		list = append(list, reasonCount{reason, n})
	}
	slices.SortFunc(list, func(a, b reasonCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Reason, b.Reason))
	})
	return list
}
