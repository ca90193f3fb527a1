// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// ocspBench is a fixture for a benchmark: a vernegate with its defaults before a fake broker.
func ocspBench(b *testing.B, s *fixture, env ...string) *fixture {
	b.Helper()
	if s == nil {
		s = &fixture{pki: stack.NewPKI(), folder: stack.Folder(b.TempDir())}
		if err := s.folder.Rename(s.pki.Set()); err != nil {
			b.Fatal(err)
		}
		s.acl = must(stack.StartACL())(b)
		b.Cleanup(func() { s.acl.Close() })
	}
	fake := must(stack.StartFakeBroker())(b)
	b.Cleanup(func() { fake.Close() })
	next := *s
	next.Vernegate = must(stack.StartVernegate(within(b, 30*time.Second), program, s.env(fake.Addr, append(env, "VERNEGATE_LOG_LEVEL", "error")...)))(b)
	b.Cleanup(func() { _ = next.Stop() })
	return &next
}

// timed is how long a device takes to connect, with a full handshake.
func (s *fixture) timed(b *testing.B, device *certtest.Cert) time.Duration {
	began := time.Now()
	if err := tryConnect(b.Context(), s.through(device, 0)); err != nil {
		b.Error(err)
	}
	return time.Since(began)
}

// BenchmarkOCSPWarm compares a full handshake and CONNECT with OCSP and without, in turns. The answer is in the cache.
func BenchmarkOCSPWarm(b *testing.B) {
	off := ocspBench(b, nil)
	r := stack.StartResponder(off.pki.Root)
	b.Cleanup(r.Close)
	on := ocspBench(b, off, "VERNEGATE_OCSP", "on", "VERNEGATE_OCSP_URL", r.URL, "VERNEGATE_OCSP_ON_ERROR", "deny")
	device := off.device("acme:lamp")
	var took [2][]time.Duration
	for _, s := range []*fixture{off, on} {
		for range 50 {
			s.timed(b, device)
		}
	}
	for n := 0; b.Loop(); n++ {
		for i := range 2 {
			i = (i + n) % 2 // neither is always the first
			took[i] = append(took[i], []*fixture{off, on}[i].timed(b, device))
		}
	}
	without, with := quantile(took[0], .5), quantile(took[1], .5)
	b.ReportMetric(float64(without.Microseconds()), "off-µs")
	b.ReportMetric(float64(with.Microseconds()), "on-µs")
	b.ReportMetric(float64(with)/float64(without), "ratio")
}

// BenchmarkDeadResponder has known devices come back one after the other while the responder of 1 000 newcomers answers, and
// while packets to it are dropped. Both times the newcomers have sent their CONNECT before.
func BenchmarkDeadResponder(b *testing.B) {
	const newcomers = 1000
	for _, dead := range []bool{false, true} {
		name := map[bool]string{false: "alive", true: "dead"}[dead]
		b.Run(name, func(b *testing.B) {
			deaf, stop, err := stack.ListenDeaf()
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(stop)
			s := &fixture{pki: stack.NewPKI(), folder: stack.Folder(b.TempDir())}
			if err := s.folder.Rename(s.pki.Set()); err != nil {
				b.Fatal(err)
			}
			s.acl = must(stack.StartACL())(b)
			b.Cleanup(func() { s.acl.Close() })
			r := stack.StartResponder(s.pki.Root)
			b.Cleanup(r.Close)
			s = ocspBench(b, s, "VERNEGATE_OCSP", "on", "VERNEGATE_CRL_HOSTS", r.Host+","+deaf, "VERNEGATE_CONNECT_TIMEOUT", "10m", "VERNEGATE_OCSP_TIMEOUT", "10m")
			known := make([]*certtest.Cert, 100)
			for i := range known {
				known[i] = s.device("acme:known", certtest.OCSPServer(r.URL))
				s.timed(b, known[i])
			}
			responder := r.URL
			if dead {
				responder = "http://" + deaf
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			var connecting sync.WaitGroup
			for range newcomers {
				device := s.device("acme:newcomer", certtest.OCSPServer(responder))
				connecting.Go(func() {
					w, err := stack.DialWire(ctx, s.through(device, 0))
					if err != nil {
						return
					}
					b.Cleanup(func() { w.Close() })
					_ = w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes())
				})
			}
			connecting.Wait()
			var took []time.Duration
			for n := 0; b.Loop(); n++ {
				took = append(took, s.timed(b, known[n%len(known)]))
			}
			b.ReportMetric(float64(quantile(took, .5).Microseconds()), "p50-µs")
			b.ReportMetric(float64(quantile(took, .99).Microseconds()), "p99-µs")
		})
	}
}

// quantile returns the duration that this part of all does not exceed.
func quantile(all []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(part*float64(len(sorted)-1))]
}
