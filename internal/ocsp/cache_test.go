// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/internal/pki"
)

var errDown = &ocsp.Error{Kind: ocsp.KindTimeout, Err: errors.New("no answer")}

// A script is what an Ask does, which can be changed, and how often it was called.
type script struct {
	asked  atomic.Int32
	answer atomic.Pointer[func(ctx context.Context) (ocsp.Answer, error)]
}

func (s *script) set(f func(context.Context) (ocsp.Answer, error)) { s.answer.Store(&f) }

// say answers with a status that holds for a while, after a delay.
func (s *script) say(status ocsp.Status, holds, delay time.Duration) {
	s.set(func(ctx context.Context) (ocsp.Answer, error) {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ocsp.Answer{}, ctx.Err()
		}
		return ocsp.Answer{Status: status, Until: time.Now().Add(holds)}, nil
	})
}

// sayAsOf answers at once, with a status that was true at a time.
func (s *script) sayAsOf(status ocsp.Status, at time.Time, holds time.Duration) {
	s.set(func(context.Context) (ocsp.Answer, error) {
		return ocsp.Answer{Status: status, ThisUpdate: at, Until: time.Now().Add(holds)}, nil
	})
}

// fail answers nothing, after a delay.
func (s *script) fail(delay time.Duration) {
	s.set(func(context.Context) (ocsp.Answer, error) {
		time.Sleep(delay)
		return ocsp.Answer{}, errDown
	})
}

func (s *script) ask(ctx context.Context, _ ocsp.Certificate, _ bool) (ocsp.Answer, error) {
	s.asked.Add(1)
	return (*s.answer.Load())(ctx)
}

// inBubble runs a test of a cache in a bubble with a time of its own.
func inBubble(t *testing.T, test func(t *testing.T, s *script, c *ocsp.Cache)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := new(script)
		c := &ocsp.Cache{Ask: s.ask, Size: 100}
		defer c.Close()
		test(t, s, c)
	})
}

// wantStatus asks as a newcomer does.
func wantStatus(t *testing.T, c *ocsp.Cache, want ocsp.Status, wait time.Duration) (again time.Time) {
	t.Helper()
	began := time.Now()
	got, again, err := c.Status(t.Context(), lamp(), false)
	if took := time.Since(began); got.Status != want || (err == nil) != (want != 0) || took != wait {
		t.Errorf("got %v, %v after %v, want %v after %v", got.Status, err, took, want, wait)
	}
	return again
}

func TestKnownCertificatesDoNotWait(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.say(ocsp.Good, time.Hour, time.Second)
		again := wantStatus(t, c, ocsp.Good, time.Second)
		if d := time.Until(again); d < 30*time.Minute || d > 45*time.Minute {
			t.Errorf("to be asked again in %v, want after a half to three quarters of an hour", d)
		}
		s.say(ocsp.Revoked, time.Hour, time.Second)
		for range 29 {
			time.Sleep(time.Minute)
			wantStatus(t, c, ocsp.Good, 0)
		}
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		time.Sleep(17 * time.Minute) // near its end
		wantStatus(t, c, ocsp.Good, 0)
		time.Sleep(time.Second)
		synctest.Wait()
		wantStatus(t, c, ocsp.Revoked, 0)
		if n := s.asked.Load(); n != 2 {
			t.Errorf("asked %d times, want twice", n)
		}
	})
}

// An answer that has ended counts no more, whether there is another one or not.
func TestEndedAnswersDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.say(ocsp.Good, time.Hour, 0)
		wantStatus(t, c, ocsp.Good, 0)
		s.fail(time.Second)
		time.Sleep(59 * time.Minute)
		wantStatus(t, c, ocsp.Good, 0) // and asking has failed
		time.Sleep(2 * time.Minute)
		wantStatus(t, c, 0, time.Second)
		s.say(ocsp.Revoked, time.Hour, time.Second)
		wantStatus(t, c, ocsp.Revoked, time.Second)
	})
}

// A revocation does not end with the answer that told of it. Whoever keeps the responder from answering, or answers with
// what it has signed before, gains nothing by that.
func TestRevokedCertificatesStayRevoked(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		live := func() {
			t.Helper()
			if got, _, err := c.Status(t.Context(), lamp(), true); got.Status != ocsp.Revoked || err != nil {
				t.Errorf("live: got %v, %v", got.Status, err)
			}
		}
		before := time.Now()
		time.Sleep(time.Minute)
		s.sayAsOf(ocsp.Revoked, time.Now(), time.Hour)
		wantStatus(t, c, ocsp.Revoked, 0)
		s.fail(time.Second)
		time.Sleep(2 * time.Hour)
		wantStatus(t, c, ocsp.Revoked, time.Second)
		live()
		s.sayAsOf(ocsp.Good, before, time.Hour)
		for range 3 {
			time.Sleep(2 * time.Hour)
			wantStatus(t, c, ocsp.Revoked, 0)
			synctest.Wait()
			live()
		}
		s.sayAsOf(ocsp.Good, time.Now(), time.Hour) // it was on hold
		wantStatus(t, c, ocsp.Good, 0)
	})
}

// A responder that has lost its data does not know the certificate any more, and that does not make it a good one.
func TestRevokedCertificatesStayRevokedWhenTheyBecomeUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		before := time.Now()
		time.Sleep(time.Minute)
		s.set(func(context.Context) (ocsp.Answer, error) {
			return ocsp.Answer{Status: ocsp.Revoked, ThisUpdate: time.Now(), Until: time.Now().Add(time.Hour), RevokedAt: before, Reason: 1}, nil
		})
		wantStatus(t, c, ocsp.Revoked, 0)
		time.Sleep(2 * time.Hour)
		s.sayAsOf(ocsp.Unknown, time.Now(), time.Minute)
		for _, live := range []bool{false, true} {
			got, again, err := c.Status(t.Context(), lamp(), live)
			if got.Status != ocsp.Revoked || !got.RevokedAt.Equal(before) || got.Reason != 1 || err != nil {
				t.Errorf("live %t: got %+v, %v", live, got, err)
			}
			if d := time.Until(again); d < 30*time.Second || d > time.Minute {
				t.Errorf("live %t: to be asked again in %v, want within a minute", live, d)
			}
		}
		if n := s.asked.Load(); n != 2 {
			t.Errorf("asked %d times, want twice: unknown holds for a minute", n)
		}
		s.fail(time.Second)
		time.Sleep(2 * time.Minute)
		wantStatus(t, c, ocsp.Revoked, time.Second)
		s.sayAsOf(ocsp.Good, before, 24*time.Hour)
		time.Sleep(2 * time.Minute)
		wantStatus(t, c, ocsp.Revoked, 0)
		s.sayAsOf(ocsp.Good, time.Now(), time.Hour)
		wantStatus(t, c, ocsp.Good, 0)
	})
}

// A certificate was on hold, was good again, and is revoked for good now. Whoever replays the first two answers in their
// order gains nothing; nor does one who has a good answer from the second in which it was revoked.
func TestReplayedAnswersDoNotEndARevocation(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		onHold := time.Now()
		good := onHold.Add(time.Minute)
		revoked := good.Add(time.Minute)
		time.Sleep(time.Hour)
		for _, said := range []struct {
			status ocsp.Status
			at     time.Time
		}{{ocsp.Revoked, revoked}, {ocsp.Revoked, onHold}, {ocsp.Good, good}, {ocsp.Good, revoked}} {
			s.sayAsOf(said.status, said.at, time.Hour)
			wantStatus(t, c, ocsp.Revoked, 0)
			time.Sleep(2 * time.Hour)
		}
		s.sayAsOf(ocsp.Good, revoked.Add(time.Second), time.Hour)
		wantStatus(t, c, ocsp.Good, 0)
	})
}

// With an interval, an answer that holds for days is asked for again long before its end.
func TestRefreshBoundsHowLongARevocationIsNotSeen(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		c.Refresh = time.Hour
		s.say(ocsp.Good, 7*24*time.Hour, 0)
		again := wantStatus(t, c, ocsp.Good, 0)
		if d := time.Until(again); d < 45*time.Minute || d > time.Hour {
			t.Errorf("to be asked again in %v", d)
		}
	})
}

func TestOneRequestServesAllThatWait(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.say(ocsp.Good, time.Hour, time.Second)
		var waiting sync.WaitGroup
		for range 100 {
			waiting.Go(func() { wantStatus(t, c, ocsp.Good, time.Second) })
		}
		waiting.Wait()
		if n := s.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
	})
}

// A live session never waits: it is told when to come again, and then there is an answer.
func TestLiveSessionsAreToldToComeAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		live := func(want ocsp.Status, wantErr error) time.Time {
			t.Helper()
			began := time.Now()
			got, again, err := c.Status(t.Context(), lamp(), true)
			if got.Status != want || !errors.Is(err, wantErr) || time.Since(began) != 0 || !again.After(began) {
				t.Errorf("got %v, %v after %v, again in %v; want %v, %v", got.Status, err, time.Since(began), again.Sub(began), want, wantErr)
			}
			return again
		}
		s.say(ocsp.Good, time.Hour, 300*time.Millisecond)
		time.Sleep(time.Until(live(0, ocsp.ErrUnderWay)))
		time.Sleep(time.Until(live(ocsp.Good, nil))) // until it is about to end
		s.say(ocsp.Revoked, time.Hour, 300*time.Millisecond)
		began := time.Now()
		time.Sleep(time.Until(live(ocsp.Good, nil)))
		live(ocsp.Revoked, nil)
		if d := time.Since(began); d > time.Second {
			t.Errorf("revoked after %v", d)
		}
	})
}

// After a failure, a live session is asked about again soon, and less often the longer it lasts; a newcomer has a right to
// a question of its own.
func TestFailuresBackOff(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.fail(0)
		again := wantStatus(t, c, 0, 0)
		if d := time.Until(again); d < time.Second || d > 3*time.Second {
			t.Errorf("again in %v, want 2 s or so", d)
		}
		s.asked.Store(0)
		for began := time.Now(); time.Since(began) < time.Hour; {
			_, again, err := c.Status(t.Context(), lamp(), true)
			if err == nil {
				t.Fatal("answered")
			}
			time.Sleep(time.Until(again))
		}
		if n := s.asked.Load(); n < 50 || n > 90 {
			t.Errorf("asked %d times in an hour, want about once a minute", n)
		}
		before := s.asked.Load()
		wantStatus(t, c, 0, 0)
		if s.asked.Load() != before+1 {
			t.Error("a newcomer was not asked about")
		}
		s.say(ocsp.Good, time.Hour, 0)
		wantStatus(t, c, ocsp.Good, 0)
		s.fail(0)
		time.Sleep(50 * time.Minute)
		wantStatus(t, c, ocsp.Good, 0)
		synctest.Wait()
		if again := wantStatus(t, c, ocsp.Good, 0); time.Until(again) > 3*time.Second {
			t.Errorf("again in %v, want soon: an answer has come since", time.Until(again))
		}
	})
}

// Callers leave with their contexts; the request goes on for the others.
func TestCallersMayLeave(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.say(ocsp.Good, time.Hour, time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := c.Status(ctx, lamp(), false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		wantStatus(t, c, ocsp.Good, 59*time.Second)
	})
}

// One that waits joins a request that nobody has waited for. If that one has stood back, there is another.
func TestSomebodyWaitsAfterAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &ocsp.Cache{Size: 1, Ask: func(_ context.Context, _ ocsp.Certificate, waited bool) (ocsp.Answer, error) {
			time.Sleep(time.Second)
			if !waited {
				return ocsp.Answer{}, &ocsp.Error{Kind: ocsp.KindBusy, Err: errors.New("others wait")}
			}
			return ocsp.Answer{Status: ocsp.Good, Until: time.Now().Add(time.Hour)}, nil
		}}
		defer c.Close()
		if _, _, err := c.Status(t.Context(), lamp(), true); !errors.Is(err, ocsp.ErrUnderWay) {
			t.Errorf("got %v", err)
		}
		wantStatus(t, c, ocsp.Good, 2*time.Second)
	})
}

func TestCloseEndsQuestions(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.say(ocsp.Good, time.Hour, 0)
		wantStatus(t, c, ocsp.Good, 0)
		s.say(ocsp.Good, time.Hour, 24*time.Hour)
		var waiting sync.WaitGroup
		waiting.Go(func() {
			if _, _, err := c.Status(t.Context(), ocsp.Certificate{}, false); err == nil {
				t.Error("answered")
			}
		})
		synctest.Wait()
		c.Close()
		waiting.Wait()
		wantStatus(t, c, ocsp.Good, 0)
		if _, _, err := c.Status(t.Context(), ocsp.Certificate{Fingerprint: pki.Fingerprint{1}}, false); !errors.Is(err, ocsp.ErrClosed) {
			t.Errorf("got %v", err)
		}
	})
}

// A question that ends its goroutine fails those that wait.
func TestAQuestionThatEndsItsGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.set(func(context.Context) (ocsp.Answer, error) {
			runtime.Goexit()
			return ocsp.Answer{}, nil
		})
		wantStatus(t, c, 0, 0)
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		s.say(ocsp.Good, time.Hour, 0)
		for n := range 1000 {
			_, _, _ = c.Status(t.Context(), ocsp.Certificate{Fingerprint: pki.Fingerprint{byte(n), byte(n >> 8)}}, false)
			wantStatus(t, c, ocsp.Good, 0) // which stays, as it is in use
		}
		if n := c.Len(); n != 100 {
			t.Errorf("%d are remembered, want 100", n)
		}
		if n := s.asked.Load(); n != 1001 {
			t.Errorf("asked %d times, want 1001", n)
		}
	})
}

// What is known of a certificate is not forgotten because others cannot be asked about.
func TestFailuresTakeNoPlaceOfAnswers(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		c.Size = 2
		s.say(ocsp.Revoked, time.Hour, 0)
		wantStatus(t, c, ocsp.Revoked, 0)
		s.fail(0)
		for i := range 5 {
			if got, _, err := c.Status(t.Context(), ocsp.Certificate{Fingerprint: pki.Fingerprint{byte(i)}}, false); err == nil {
				t.Errorf("got %v of a responder that is down", got)
			}
		}
		wantStatus(t, c, ocsp.Revoked, 0)
	})
}

func TestEachCallHasOneOutcome(t *testing.T) {
	inBubble(t, func(t *testing.T, s *script, c *ocsp.Cache) {
		counts := map[ocsp.Outcome]int{}
		c.Observe = func(o ocsp.Outcome) { counts[o]++ }
		s.fail(0)
		wantStatus(t, c, 0, 0)
		_, _, _ = c.Status(t.Context(), lamp(), true) // it has failed a moment ago
		s.say(ocsp.Good, time.Hour, 0)
		wantStatus(t, c, ocsp.Good, 0)
		wantStatus(t, c, ocsp.Good, 0)
		for _, o := range ocsp.Outcomes() {
			if counts[o] != 1 {
				t.Errorf("%s: counted %d times", o, counts[o])
			}
		}
	})
}

// TestCacheUnderStress has many ask about a few certificates, of which some fail, while the cache is closed.
func TestCacheUnderStress(t *testing.T) {
	t.Parallel()
	c := &ocsp.Cache{Size: 5, Refresh: time.Microsecond, Ask: func(context.Context, ocsp.Certificate, bool) (ocsp.Answer, error) {
		if rand.IntN(3) == 0 {
			return ocsp.Answer{}, errDown
		}
		return ocsp.Answer{Status: ocsp.Good, Until: time.Now().Add(time.Duration(rand.IntN(1000)) * time.Microsecond)}, nil
	}}
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for range 500 {
				cert := ocsp.Certificate{Fingerprint: pki.Fingerprint{byte(rand.IntN(10))}}
				answer, again, err := c.Status(t.Context(), cert, rand.IntN(2) == 0)
				if (err == nil) != (answer.Status == ocsp.Good) || again.IsZero() && !errors.Is(err, ocsp.ErrClosed) {
					t.Errorf("got %v, %v, %v", answer, again, err)
				}
			}
		})
	}
	running.Go(func() {
		c.Close()
	})
	running.Wait()
}
