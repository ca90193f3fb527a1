// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// manyEntries is how long the lists are.
const manyEntries = 1_000_000

// BenchmarkPublishedList revokes one device after the other by a list of a million entries, and by a delta to such a list. It
// measures from the request that gets the new list to the end of the session, and how long pings of another session take
// meanwhile and at other times.
func BenchmarkPublishedList(b *testing.B) {
	for _, path := range []string{"/ca.crl", "/delta.crl"} {
		b.Run(path[1:], func(b *testing.B) { benchmarkPublished(b, path) })
	}
}

func benchmarkPublished(b *testing.B, path string) {
	s := bareFixture(b)
	ca := must(stack.StartPublisher())(b)
	b.Cleanup(func() { ca.Close() })
	var revoked []*x509.Certificate
	publish := func(path string, number int64, before func()) {
		list := certtest.CRLOptions{Number: number, Revoked: revoked, Fill: manyEntries}
		if path == "/delta.crl" {
			list.Fill = 1000
			list.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: must(asn1.Marshal(big.NewInt(1)))(b)}}
		}
		content := s.pki.Root.CRL(list)
		before()
		ca.Publish(path, content)
	}
	publish("/ca.crl", 1, func() {})
	publish("/delta.crl", 2, func() {})
	s = startBench(b, s, "VERNEGATE_TLS_CRL", ca.URL+"/ca.crl,"+ca.URL+"/delta.crl", "VERNEGATE_CRL_REFRESH", "1s")
	p := s.startPings(b)
	var took []time.Duration
	for number := int64(3); b.Loop(); number++ {
		victim := s.device("acme:lamp")
		w := s.openBench(b, victim)
		revoked = append(revoked, victim.Leaf)
		time.Sleep(time.Second) // pings at other times
		publish(path, number, func() { p.during.Store(1) })
		if _, err := w.ReadToEnd(); err != nil {
			b.Error(err)
		}
		took = append(took, time.Since(ca.Given(path)))
		p.during.Store(0)
	}
	p.stop()
	b.ReportMetric(0, "ns/op") // which is mostly waiting
	b.ReportMetric(float64(quantile(took, .5).Milliseconds()), "p50-ms")
	b.ReportMetric(float64(quantile(took, 1).Milliseconds()), "max-ms")
	for i, when := range []string{"", "-meanwhile"} {
		b.ReportMetric(float64(quantile(p.took[i], .99).Microseconds()), "ping-p99-µs"+when)
		b.ReportMetric(float64(quantile(p.took[i], .999).Microseconds()), "ping-p99.9-µs"+when)
	}
}

// openBench opens a session whose steps are not limited.
func (s *fixture) openBench(b *testing.B, device *certtest.Cert) *stack.Wire {
	b.Helper()
	w := must(stack.DialWire(b.Context(), s.through(device, 0)))(b)
	if err := w.Send(connectPacket{version: stack.V311, clientID: unique()}.bytes()); err != nil {
		b.Fatal(err)
	}
	if got := must(w.ReadN(4))(b); !bytes.Equal(got, []byte{0x20, 2, 0, 0}) {
		b.Fatalf("got % X, want a CONNACK that lets the client in", got)
	}
	return w
}

// pings are how long those of a session took: at other times, and during what is measured.
type pings struct {
	during atomic.Int32 // index into took
	took   [2][]time.Duration
	stop   func()
}

// startPings has a session ping again and again until stop is called.
func (s *fixture) startPings(b *testing.B) *pings {
	b.Helper()
	w := s.openBench(b, s.device("acme:bystander"))
	p := new(pings)
	ended, done := make(chan struct{}), make(chan struct{})
	p.stop = func() { close(done); <-ended; w.Close() }
	go func() {
		defer close(ended)
		for tick := time.NewTicker(time.Millisecond); ; {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			began := time.Now()
			if w.Send([]byte{0xC0, 0}) != nil {
				return
			}
			if _, err := w.ReadN(2); err != nil {
				return
			}
			i := p.during.Load()
			p.took[i] = append(p.took[i], time.Since(began))
		}
	}()
	return p
}
