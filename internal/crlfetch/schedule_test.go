// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
)

// bubble is a Fetcher in a bubble of time, and the server that it asks.
type bubble struct {
	f       *crlfetch.Fetcher
	asked   chan time.Time
	due     time.Time
	status  atomic.Int32
	respond func(w http.ResponseWriter)
	refresh time.Duration

	conditional atomic.Bool // the last request was for what is newer than the copy
}

// inBubble runs a test with a Fetcher of one source, which is asked at once and then
// every hour, or refresh. What the server does is set up before.
func inBubble(t *testing.T, setUp, test func(b *bubble)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{asked: make(chan time.Time, 100), refresh: time.Hour}
		setUp(b)
		l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: http.HandlerFunc(b.answer)}
		go func() { _ = server.Serve(l) }()
		transport := &http.Transport{DialContext: l.dial, DisableKeepAlives: true}
		b.f = crlfetch.New(crlfetch.Config{
			Client: &http.Client{Transport: transport}, Dir: dir, Refresh: b.refresh, MaxSize: 1 << 20,
			Try: func(context.Context, crlfetch.Download) (crlfetch.Verdict, error) {
				return crlfetch.Verdict{Compared: true, Due: b.due}, nil
			},
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		b.f.Follow([]crlfetch.Source{{URL: "http://crl.example.org/", Name: "crl", Origin: crlfetch.Configured}})
		go func() { b.f.Run(ctx); close(ended) }()
		test(b)
		cancel()
		<-ended
		_ = server.Close()
		time.Sleep(time.Minute) // until the server has noticed
	})
}

func nothing(*bubble) {}

func (b *bubble) answer(w http.ResponseWriter, r *http.Request) {
	b.conditional.Store(r.Header.Get("If-None-Match") != "")
	b.asked <- time.Now()
	if status := b.status.Load(); status != 0 {
		w.WriteHeader(int(status))
		return
	}
	if b.respond != nil {
		b.respond(w)
		return
	}
	_, _ = io.WriteString(w, "a list")
}

// pipes is a listener whose connections are in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func within(t *testing.T, what string, got, least, most time.Duration) {
	t.Helper()
	if got < least || got > most {
		t.Errorf("%s: after %v, want %v to %v", what, got, least, most)
	}
}

func TestServersAreAskedAtLeastEveryInterval(t *testing.T) {
	inBubble(t, nothing, func(b *bubble) {
		last := <-b.asked
		for range 20 {
			at := <-b.asked
			within(t, "the next request", at.Sub(last), 54*time.Minute, time.Hour)
			last = at
		}
	})
}

// Whatever is wrong about an ETag, it hides no list for longer than an hour.
func TestServersAreAskedForAllOfTheirListEveryHour(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.refresh = 5 * time.Minute
		b.respond = func(w http.ResponseWriter) {
			w.Header().Set("ETag", `"1"`)
			if b.conditional.Load() {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			_, _ = io.WriteString(w, "a list")
		}
	}, func(b *bubble) {
		var whole []time.Time
		for range 60 {
			if at := <-b.asked; !b.conditional.Load() {
				whole = append(whole, at)
			}
			synctest.Wait()
		}
		if len(whole) < 4 {
			t.Fatalf("it was asked for all of its list %d times in five hours", len(whole))
		}
		for i, at := range whole[1:] {
			within(t, "the next request for all", at.Sub(whole[i]), 50*time.Minute, 65*time.Minute)
		}
	})
}

func TestAListIsFetchedAgainWhenItIsDue(t *testing.T) {
	inBubble(t, func(b *bubble) { b.due = time.Now().Add(10 * time.Minute) }, func(b *bubble) {
		first := <-b.asked
		within(t, "the request for the next list", (<-b.asked).Sub(first), 10*time.Minute, 10*time.Minute+time.Second)
		second := <-b.asked // it is still the old one
		within(t, "the request after", second.Sub(first), time.Hour, 75*time.Minute)
	})
}

// What is due while the server answers may not be in its answer.
func TestAListThatIsDueWhileTheServerAnswersIsFetchedAgain(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.due = time.Now().Add(10 * time.Minute)
		b.respond = func(w http.ResponseWriter) {
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, "a list")
		}
	}, func(b *bubble) {
		<-b.asked
		time.Sleep(time.Until(b.due) - 3*time.Second)
		b.f.FetchNow()
		second := <-b.asked
		within(t, "the request for the next list", (<-b.asked).Sub(second), 6*time.Second, 16*time.Second)
	})
}

func TestAFailingServerIsAskedLessAndLessOften(t *testing.T) {
	inBubble(t, func(b *bubble) { b.status.Store(500) }, func(b *bubble) {
		last := <-b.asked
		for wait := time.Second; wait < 2*time.Hour; wait *= 2 {
			at := <-b.asked
			most := min(wait, time.Hour)
			within(t, "the next request", at.Sub(last), most*9/10, most)
			last = at
		}
		b.status.Store(0)
		<-b.asked
		synctest.Wait()
		if s := b.f.Status()[0]; s.Err != "" || !s.Held {
			t.Errorf("got %+v", s)
		}
	})
}

func TestFetchNowDoesNotWait(t *testing.T) {
	inBubble(t, nothing, func(b *bubble) {
		first := <-b.asked
		synctest.Wait()
		b.f.FetchNow()
		within(t, "the next request", (<-b.asked).Sub(first), 0, 0)
	})
}

// What is on its way when lists can be compared may have been tried before that. What was compared is not asked for.
func TestAListOnItsWayIsFetchedAgainOnceItCanBeCompared(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.respond = func(w http.ResponseWriter) {
			time.Sleep(5 * time.Second)
			_, _ = io.WriteString(w, "a list")
		}
	}, func(b *bubble) {
		first := <-b.asked
		time.Sleep(time.Second)
		b.f.FetchUncompared()
		second := <-b.asked
		within(t, "the second request", second.Sub(first), 5*time.Second, 5*time.Second)
		time.Sleep(10 * time.Second)
		b.f.FetchUncompared()
		within(t, "the third request", (<-b.asked).Sub(second), 54*time.Minute, 61*time.Minute)
	})
}

// A server that sends a byte now and then is left, and what it has sent is dropped.
func TestASlowServerIsLeft(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.respond = func(w http.ResponseWriter) {
			for {
				if _, err := io.WriteString(w, "x"); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
				time.Sleep(5 * time.Second)
			}
		}
	}, func(b *bubble) {
		<-b.asked
		time.Sleep(11 * time.Second)
		synctest.Wait()
		s := b.f.Status()[0]
		if !strings.Contains(s.Err, "sent less than 16384 bytes in 10s") || s.Held {
			t.Errorf("got %+v", s)
		}
	})
}

// A large list over a slow line is not a slow server.
func TestASlowLineIsWaitedFor(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.respond = func(w http.ResponseWriter) {
			for range 20 {
				_, _ = io.WriteString(w, strings.Repeat("x", 10<<10))
				_ = http.NewResponseController(w).Flush()
				time.Sleep(4 * time.Second)
			}
		}
	}, func(b *bubble) {
		<-b.asked
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := b.f.Status()[0]; s.Err != "" || s.Size != 200<<10 {
			t.Errorf("got %+v", s)
		}
	})
}

func TestRunEndsInTheMiddleOfAFetch(t *testing.T) {
	inBubble(t, func(b *bubble) {
		b.respond = func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
			var err error
			for !errors.Is(err, io.ErrClosedPipe) && err == nil {
				_, err = io.WriteString(w, strings.Repeat("x", 32<<10))
				time.Sleep(time.Second)
			}
		}
	}, func(b *bubble) {
		<-b.asked
	})
}
