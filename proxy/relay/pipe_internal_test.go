// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// A slowBroker takes some bytes in each time that it is given.
type slowBroker struct {
	net.Conn
	each  int // bytes
	times int // that it was given
	end   Result
}

func (b *slowBroker) PipeEnded(_ *Pipe, r Result) { b.end = r }
func (*slowBroker) Wake(*Pipe)                    {}

func (b *slowBroker) Linger(p *Pipe) time.Time {
	b.times++
	if b.each > 0 {
		_, _ = b.Read(make([]byte, b.each)) // there are some, as the socket is full
	}
	until := time.Now().Add(20 * time.Millisecond)
	_ = p.dst.SetWriteDeadline(until)
	return until
}

// What a source has left behind goes to a destination for as long as that takes something of it.
func TestDestinationIsWaitedForWhileItTakesSomething(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		each  int
		cause EndCause
		most  int
	}{
		"slow": {64 << 10, SourceEnded, 1000},
		"dead": {0, DestinationFailed, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			toBroker, there := sockets(t)
			b := &slowBroker{Conn: there, each: test.each}
			var p Pipe
			src, dst := new(Conn), new(Conn)
			here, _ := sockets(t)
			src.Open(here)
			dst.Open(toBroker)
			p.Connect(End{Conn: src}, End{Conn: dst}, b)
			_ = toBroker.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = toBroker.Write(make([]byte, 4<<20)) // until the socket takes no more
			dst.out = make([]byte, 1<<20)
			p.end(Result{Cause: SourceEnded, Err: io.EOF})
			if b.end.Cause != test.cause || b.times > test.most {
				t.Errorf("got cause %v (%v) after %d times, want %v", b.end.Cause, b.end.Err, b.times, test.cause)
			}
			if whole := test.cause == SourceEnded; whole == dst.Pending() {
				t.Errorf("all was written: %v, want %v", !dst.Pending(), whole)
			}
			if p.SourceEnded() != (test.cause == SourceEnded) {
				t.Errorf("got %v for the end of the source", p.SourceEnded())
			}
		})
	}
}

// What completes the last packet has been taken by the destination when Finish says so.
func TestFinishWaitsForTheDestination(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reads bool
		cause EndCause
	}{
		"slow": {true, AtPacketBoundary},
		"dead": {false, DestinationFailed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			toClient, there := sockets(t)
			var p Pipe
			src, dst := new(Conn), new(Conn)
			src.Open(&repeated{message: make([]byte, 100), times: 1})
			dst.Open(toClient)
			p.Connect(End{Conn: src}, End{Conn: dst}, nil)
			if err := p.Follow([]byte{0x30, 100}); err != nil {
				t.Fatal(err)
			}
			_ = toClient.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			_, _ = toClient.Write(make([]byte, 4<<20)) // until the socket takes no more
			if test.reads {
				_ = toClient.SetWriteDeadline(time.Now().Add(time.Minute))
				time.AfterFunc(100*time.Millisecond, func() { _, _ = io.Copy(io.Discard, there) })
			}
			if r := p.Finish(); r.Cause != test.cause || (r.Cause == AtPacketBoundary) == dst.Pending() {
				t.Errorf("got cause %v (%v), and bytes are left: %v", r.Cause, r.Err, dst.Pending())
			}
		})
	}
}

// However much a client sends before it ends, a pump decodes one portion of it, and others have their turn before the next.
func TestPortionsBeforeTheEndAreDecodedInTurns(t *testing.T) {
	t.Parallel()
	const portions = 1000
	f, to := new(oneByOne), new(repeated)
	p := Pipe{src: new(Conn), dst: new(Conn), srcFraming: f}
	p.src.Open(&wholeThenEnd{left: portions})
	p.dst.Open(to)
	s := newScratch()
	for pumps := 1; ; pumps++ {
		r := p.pump(s)
		if bytes, _ := p.Carried(); f.calls != pumps || bytes != int64(2*pumps) || r.dry {
			t.Fatalf("after %d pumps %d portions were decoded and %d bytes carried; dry: %v", pumps, f.calls, bytes, r.dry)
		}
		if last := pumps == portions; last || r.Cause != None {
			if !last || r.Cause != SourceEnded || r.Err != io.EOF {
				t.Fatalf("after %d pumps: got cause %v (%v)", pumps, r.Cause, r.Err)
			}
			return
		}
	}
}

// What was read before a session is stopped is carried, also what a framing has not decoded yet.
func TestPortionsThatWereReadAreCarriedAfterAStop(t *testing.T) {
	t.Parallel()
	const portions = 1000
	here, there := sockets(t)
	f := new(oneByOne)
	p := Pipe{src: new(Conn), dst: new(Conn), srcFraming: f}
	p.src.Open(here)
	p.dst.Open(new(repeated))
	if _, err := there.Write(make([]byte, portions)); err != nil {
		t.Fatal(err)
	}
	for f.left == 0 {
		_ = p.pumpOnce()
	}
	_ = here.SetReadDeadline(time.Unix(1, 0))
	r := p.carry()
	if bytes, _ := p.Carried(); bytes != 2*portions || r.Cause != SourceEnded {
		t.Errorf("carried %d bytes, want %d; cause %v (%v)", bytes, 2*portions, r.Cause, r.Err)
	}
}

// Off its loop, too, a pipe that always has more lets others have their turn after each pump. The scheduler would let it run for
// 10 ms, and some hundreds of them for seconds.
func TestPumpsTakeTurnsOffTheLoop(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for name, run := range map[string]func(*Pipe){
		"alone":    (*Pipe).pumpAlone,
		"detached": func(p *Pipe) { p.Detach(); p.pumpAlone() },
	} {
		t.Run(name, func(t *testing.T) {
			const portions = 1000
			p := Pipe{src: new(Conn), dst: new(Conn), srcFraming: new(oneByOne), handler: new(upward)}
			p.src.Open(&wholeThenEnd{left: portions})
			p.dst.Open(new(repeated))
			go run(&p)
			for last := int64(0); last < 2*portions; {
				runtime.Gosched()
				now, _ := p.Carried()
				if now-last > 2*portions/10 {
					t.Fatalf("carried %d bytes in one turn", now-last)
				}
				last = now
			}
		})
	}
}

// A wholeThenEnd says all that it has, and that it ends, in one read.
type wholeThenEnd struct {
	net.Conn
	left int
}

func (w *wholeThenEnd) Read(p []byte) (int, error) { return min(len(p), w.left), io.EOF }

// oneByOne is a framing in which a byte stands for a PINGREQ, that decodes one at a time.
type oneByOne struct {
	Framing
	left, calls int
	end         error
}

func (f *oneByOne) Pending() bool     { return f.left > 0 }
func (f *oneByOne) EndWith(err error) { f.end = err }

func (f *oneByOne) Decode(dst, received []byte) (int, error) {
	f.calls++
	f.left += len(received) - 1
	n := copy(dst, []byte{0xc0, 0})
	if f.Pending() {
		return n, nil
	}
	return n, f.end
}

// What a message of 64 bytes costs on its way through a pipe, without the system calls: to be compared with and
// without counting.
func BenchmarkCarry(b *testing.B) {
	message := append([]byte{0x30, 62}, make([]byte, 62)...)
	r := &repeated{message: message, times: b.N}
	p := Pipe{src: new(Conn), dst: new(Conn)}
	p.src.Open(r)
	p.dst.Open(r)
	b.ReportAllocs()
	b.ResetTimer()
	if got := p.carry(); got.Err != io.EOF {
		b.Fatal(got.Err)
	}
	if _, packets := p.Carried(); packets != uint64(b.N) {
		b.Fatalf("counted %d packets, want %d", packets, b.N)
	}
}

// A repeated message is one read each time. What is written to it is gone.
type repeated struct {
	net.Conn
	message []byte
	times   int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.times--; r.times < 0 {
		return 0, io.EOF
	}
	return copy(p, r.message), nil
}

func (r *repeated) Write(p []byte) (int, error) { return len(p), nil }
