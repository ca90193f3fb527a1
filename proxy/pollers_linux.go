// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && !portable

package proxy

import (
	"log/slog"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// pollers wait for the sessions that have nothing to carry, and carry what comes without waiting: no session that
// waits has a goroutine. Each session belongs to one of as many loops as there are processors for Go.
//
// Loops begin with the first session. Methods may be called concurrently.
type pollers struct {
	log *slog.Logger

	mu     sync.Mutex
	begun  bool
	loops  []*loop // none = epoll was refused
	next   int
	ending sync.WaitGroup
}

// adopt takes care of a session whose connections are sockets. If it returns false, the session has to do so itself.
func (p *pollers) adopt(s *session) bool {
	if s.client.raw == nil || s.backend.raw == nil {
		return false
	}
	l := p.choose()
	if l == nil {
		return false
	}
	ws := workspaces.Get().(*workspace)
	defer workspaces.Put(ws)
	for _, p := range []*pipe{&s.up, &s.down} {
		if !l.add(p) {
			p.relieve()
			go p.work()
			continue
		}
		if !p.serve(ws) {
			go p.work() // there is more, and the other direction is not to wait for it
		}
	}
	return true
}

// choose returns the loop whose turn it is; nil when there are none.
func (p *pollers) choose() *loop {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.begin()
	}
	if len(p.loops) == 0 {
		return nil
	}
	p.next = (p.next + 1) % len(p.loops)
	return p.loops[p.next]
}

// begin starts the loops; mu must be held.
func (p *pollers) begin() {
	p.begun = true
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop()
		if err != nil {
			p.log.Warn("idle sessions take more memory: no epoll", "err", err)
			return
		}
		p.loops = append(p.loops, l)
		p.ending.Go(l.run)
	}
}

// stop ends the loops. Nothing may be adopted any more, and every session has ended.
func (p *pollers) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begun = true
	for _, l := range p.loops {
		_ = l.epoll.Close()
	}
	p.loops = nil
	p.ending.Wait()
}

// A loop is a goroutine with an epoll instance, edge-triggered: each socket is entered once, and announces every
// arrival once. The loop waits for its epoll instance through Go's own poller. Blocked in epoll_wait, it would cost
// its processor to be handed to another thread, and back, for every message.
type loop struct {
	fd    int // of epoll, to enter sockets; until it is closed
	epoll *os.File
	raw   syscall.RawConn
	ws    *workspace

	events       [128]syscall.EpollEvent
	ready, again []*pipe // have something to carry now, and after that

	mu    sync.Mutex
	pipes []*pipe // by the descriptor of src; may be out of date about those that were closed
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
	l := &loop{fd: fd, epoll: os.NewFile(uintptr(fd), "epoll"), ws: newWorkspace()}
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

// A post is where a pipe waits. The zero value is nowhere.
type post struct {
	loop *loop
	fd   int // of src
}

// add makes the loop serve a pipe, until leave. The first readiness is announced even if it was before.
func (l *loop) add(p *pipe) bool {
	added := false
	_ = p.src.raw.Control(func(fd uintptr) {
		p.post = post{l, int(fd)}
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

func (l *loop) enter(p *pipe) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if missing := p.post.fd + 1 - len(l.pipes); missing > 0 {
		l.pipes = append(l.pipes, make([]*pipe, missing)...)
	}
	l.pipes[p.post.fd] = p
}

// leave is called once a pipe has ended. Epoll forgets a socket when it is closed; it may have been, and another one
// may have its descriptor now.
func (at post) leave(p *pipe) {
	if at.loop == nil {
		return
	}
	at.loop.mu.Lock()
	defer at.loop.mu.Unlock()
	if at.loop.pipes[at.fd] == p {
		at.loop.pipes[at.fd] = nil
	}
}

// run serves until epoll is closed.
func (l *loop) run() {
	_ = l.raw.Read(func(fd uintptr) bool {
		for {
			n, more := l.harvest(int(fd))
			l.muster(l.events[:n])
			l.serve()
			if !more && len(l.again) == 0 {
				return false // wait for what comes
			}
			// Others get their turn when Go takes it, after 10 ms. To yield here would be to yield as long to whoever
			// computes, such as a CRL being read, every time there is more than one harvest.
		}
	})
}

// harvest takes what was announced. more tells that there may be others. Why it is a raw system call: see transfer.
func (l *loop) harvest(fd int) (n int, more bool) {
	harvested, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(fd),
		uintptr(unsafe.Pointer(&l.events)), uintptr(len(l.events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno == syscall.EINTR
	}
	return int(harvested), int(harvested) == len(l.events)
}

// muster adds to ready the pipes that are the loop's to serve.
func (l *loop) muster(events []syscall.EpollEvent) {
	l.ready, l.again = l.again, l.ready[:0]
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		p := l.pipes[e.Fd]
		if p == nil {
			continue
		}
		if e.Events&^syscall.EPOLLIN != 0 {
			p.src.ending.Store(true)
		}
		if p.duty.take() {
			l.ready = append(l.ready, p)
		}
	}
}

// serve gives every pipe that is ready one turn.
func (l *loop) serve() {
	for _, p := range l.ready {
		if !p.serve(l.ws) {
			l.again = append(l.again, p)
		}
	}
	clear(l.ready) // let go of sessions that end
}
