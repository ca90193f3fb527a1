// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

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
	off := startBench(b, bareFixture(b))
	r := stack.StartResponder(off.pki.Root)
	b.Cleanup(r.Close)
	on := startBench(b, off, "VERNEGATE_OCSP", "on", "VERNEGATE_OCSP_URL", r.URL, "VERNEGATE_OCSP_ON_ERROR", "deny")
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

// BenchmarkDeadResponder compares how long known devices take to come back, one after the other, while the responder of
// 1 000 newcomers answers, and while packets to it are dropped, in turns. All newcomers have sent their CONNECT before.
func BenchmarkDeadResponder(b *testing.B) {
	deaf, stop, err := stack.ListenDeaf()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(stop)
	fixtures, known := [2]*fixture{}, [2][]*certtest.Cert{} // alive and dead
	for i, responder := range []string{"", "http://" + deaf} {
		fixtures[i], known[i] = crowded(b, deaf, responder)
	}
	var took [2][]time.Duration
	for n := 0; b.Loop(); n++ {
		for i := range 2 {
			i = (i + n) % 2 // neither is always the first
			took[i] = append(took[i], fixtures[i].timed(b, known[i][n%len(known[i])]))
		}
	}
	for i, name := range []string{"alive", "dead"} {
		b.ReportMetric(float64(quantile(took[i], .5).Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(quantile(took[i], .99).Microseconds()), name+"-p99-µs")
	}
}

// crowded is a fixture to which 1 000 newcomers have come, whose certificates name a responder; "" = the one that answers
// about the known devices.
func crowded(b *testing.B, deaf, responder string) (s *fixture, known []*certtest.Cert) {
	b.Helper()
	const newcomers = 1000
	s = bareFixture(b)
	r := stack.StartResponder(s.pki.Root)
	b.Cleanup(r.Close)
	s = startBench(b, s, "VERNEGATE_OCSP", "on", "VERNEGATE_CRL_HOSTS", r.Host+","+deaf, "VERNEGATE_CONNECT_TIMEOUT", "10m", "VERNEGATE_OCSP_TIMEOUT", "10m")
	for range 100 {
		device := s.device("acme:known", certtest.OCSPServer(r.URL))
		known = append(known, device)
		s.timed(b, device)
	}
	ctx, cancel := context.WithCancel(b.Context())
	b.Cleanup(cancel)
	var connecting sync.WaitGroup
	for range newcomers {
		device := s.device("acme:newcomer", certtest.OCSPServer(cmp.Or(responder, r.URL)))
		connecting.Go(func() {
			w, err := stack.DialWire(ctx, s.through(device, 0))
			if err != nil {
				b.Error(err)
				return
			}
			b.Cleanup(func() { w.Close() })
			_ = w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes())
		})
	}
	connecting.Wait()
	return s, known
}

// quantile returns the duration that this part of all does not exceed.
func quantile(all []time.Duration, part float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(part*float64(len(sorted)-1))]
}
