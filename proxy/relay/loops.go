// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable && !386 && !s390x

package relay

import (
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Polls reports whether sessions that wait do so in epoll, without a goroutine.
const Polls = true

// Loops carry the pipes of all sessions: each pipe belongs to one of as many loops as there are processors for Go. A loop
// waits for the pipes that have nothing to carry, and pumps what comes without waiting: no session that waits has a goroutine.
//
// Loops begin with the first session. Methods may be called concurrently.
type Loops struct {
	log *slog.Logger

	mu      sync.Mutex
	begun   bool
	closed  bool
	loops   []*loop // none = epoll was refused
	next    int
	ending  sync.WaitGroup
	closing chan struct{} // closed by Close

	watchInterval time.Duration
	hung          atomic.Int32 // how many loops hang now

	testingOnlyStall func()
}

// NewLoops makes loops that log to log. It starts nothing; Start does.
func NewLoops(log *slog.Logger) *Loops {
	return &Loops{log: log, closing: make(chan struct{}), watchInterval: watchInterval}
}

// Start carries both directions of a session until they have ended.
func (ls *Loops) Start(up, down *Pipe) {
	shrink(up.srcTLS)
	if down.srcTLS != nil {
		shrinkBuffers(down.srcTLS)
	}
	l := ls.choose()
	if l == nil || up.src.raw == nil || down.src.raw == nil {
		startAlone(up, down)
		return
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for _, p := range []*Pipe{up, down} {
		if !l.register(p) {
			startAlone(p)
			continue
		}
		if !p.pumpOnLoop(s) {
			go p.pumpAlone() // there is more, and the other direction is not to wait for it
		}
	}
}

// choose returns the loop that comes next; nil when there are none.
func (ls *Loops) choose() *loop {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.begun {
		ls.begin()
	}
	if len(ls.loops) == 0 {
		return nil
	}
	ls.next = (ls.next + 1) % len(ls.loops)
	return ls.loops[ls.next]
}

// begin starts the loops; mu must be held.
func (ls *Loops) begin() {
	ls.begun = true
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop()
		if err != nil {
			ls.log.Warn("idle sessions take more memory: no epoll", "err", err)
			break
		}
		l.testingOnlyStall = ls.testingOnlyStall
		ls.loops = append(ls.loops, l)
		ls.ending.Go(l.run)
	}
	loops := ls.loops
	ls.ending.Go(func() { ls.watch(loops) })
}

// Close ends the loops, and returns when they have ended; one that hangs is waited for. Nothing may be started any more, and
// every session has ended. Another Close does nothing more.
func (ls *Loops) Close() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !ls.closed {
		ls.begun, ls.closed = true, true
		close(ls.closing)
	}
	for _, l := range ls.loops {
		_ = l.epoll.Close()
	}
	ls.loops = nil
	ls.ending.Wait()
}

// TestingOnlyStall has every loop call f before it pumps, and loops be looked at more often. It has to come before Start.
func (ls *Loops) TestingOnlyStall(f func(), watchInterval time.Duration) {
	ls.testingOnlyStall, ls.watchInterval = f, watchInterval
}

// A loop is a goroutine with an epoll instance, edge-triggered: each socket is registered once, and announces every arrival
// once. The loop waits for its epoll instance through Go's own poller. Blocked in epoll_wait, it would cost its processor to
// be handed to another thread, and back, for every message.
type loop struct {
	fd      int // of epoll, to register sockets; until it is closed
	epoll   *os.File
	raw     syscall.RawConn
	scratch *scratch
	pulse   pulse

	events       [128]syscall.EpollEvent
	ready, again []*Pipe // have something to carry now, and after that

	mu    sync.Mutex
	pipes []*Pipe // by the descriptor of src; may be out of date about those that were closed

	testingOnlyStall func()
}

func newLoop() (*loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // which is how os.NewFile learns that it can be waited for
		_ = syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	l := &loop{fd: fd, epoll: os.NewFile(uintptr(fd), "epoll"), scratch: newScratch()}
	if l.raw, err = l.epoll.SyscallConn(); err != nil {
		_ = l.epoll.Close()
		return nil, err
	}
	return l, nil
}

// edges is what a socket announces: bytes, and the peer's end. Errors and hang-ups come unasked.
const edges = syscall.EPOLLIN | syscall.EPOLLRDHUP | edgeTriggered

// edgeTriggered is EPOLLET, whose constant in package syscall is negative.
const edgeTriggered = 1 << 31

// A registration is where a pipe waits. The zero value is nowhere.
type registration struct {
	loop *loop
	fd   int // of src
}

// register makes the loop pump p, until Release. The first readiness is announced even if it was before.
func (l *loop) register(p *Pipe) bool {
	added := false
	_ = p.src.raw.Control(func(fd uintptr) {
		p.registration = registration{l, int(fd)}
		l.enter(p)
		p.src.ending.Store(false) // before there can be an announcement
		event := syscall.EpollEvent{Events: edges, Fd: int32(fd)}
		added = syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, int(fd), &event) == nil
	})
	if !added {
		p.src.ending.Store(true)
	}
	return added
}

func (l *loop) enter(p *Pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if missing := p.registration.fd + 1 - len(l.pipes); missing > 0 {
		l.pipes = append(l.pipes, make([]*Pipe, missing)...)
	}
	l.pipes[p.registration.fd] = p
}

// Release makes the loop forget p, which has ended. Epoll forgets a socket when it is closed; it may have been, and another
// one may have its descriptor now.
func (p *Pipe) Release() {
	l, fd := p.registration.loop, p.registration.fd
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pipes[fd] == p {
		l.pipes[fd] = nil
	}
}

// run pumps until epoll is closed.
func (l *loop) run() {
	_ = l.raw.Read(func(fd uintptr) bool {
		l.pulse.wake()
		defer l.pulse.sleep()
		for {
			n, more := l.wait(int(fd))
			l.collectReady(l.events[:n])
			l.pump()
			if !more && len(l.again) == 0 {
				return false // wait for what comes
			}
			// Don't Gosched here: a goroutine that computes, such as one that reads a CRL, would run for a full 10 ms
			// slice first.
		}
	})
}

// wait takes what was announced, without waiting for more. more reports whether there may be others.
func (l *loop) wait(fd int) (n int, more bool) {
	n, err := epollNow(fd, l.events[:])
	if err != nil {
		return 0, err == syscall.EINTR
	}
	return n, n == len(l.events)
}

// collectReady adds to ready the pipes that are the loop's to pump.
func (l *loop) collectReady(events []syscall.EpollEvent) {
	l.ready, l.again = l.again, l.ready[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		p := l.pipes[e.Fd]
		if p == nil {
			continue
		}
		leaves := false
		if e.Events&^syscall.EPOLLIN != 0 {
			p.src.ending.Store(true)
			leaves = !p.state.leaving.Swap(true)
		}
		switch {
		case p.state.start():
			l.ready = append(l.ready, p)
		case leaves:
			go p.handler.Wake(p) // it may wait for the destination, and does not see the end of the source then
		}
	}
}

// pump pumps every pipe that is ready once.
func (l *loop) pump() {
	if l.testingOnlyStall != nil && len(l.ready) > 0 {
		l.testingOnlyStall()
	}
	for _, p := range l.ready {
		if !p.pumpOnLoop(l.scratch) {
			l.again = append(l.again, p)
		}
		l.pulse.beat() // a round takes as long as there are clients that send a lot
	}
	clear(l.ready) // let go of sessions that end
}
