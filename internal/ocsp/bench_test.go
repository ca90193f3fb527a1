// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"runtime"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/ocsp"
)

// warm returns a cache with so many answers.
func warm(b *testing.B, answers int) *ocsp.Cache {
	c := &ocsp.Cache{Size: answers, Ask: func(context.Context, ocsp.Certificate, bool) (ocsp.Answer, error) {
		return ocsp.Answer{Status: ocsp.Good, Until: time.Now().Add(time.Hour)}, nil
	}}
	b.Cleanup(c.Close)
	for n := range answers {
		if _, _, err := c.Status(b.Context(), numbered(n), false); err != nil {
			b.Fatal(err)
		}
	}
	return c
}

// numbered is one of many certificates.
func numbered(n int) (cert ocsp.Certificate) {
	binary.LittleEndian.PutUint32(cert.Fingerprint[:], uint32(n)*2654435761)
	return cert
}

// BenchmarkMemory says how much memory an answer takes among 100 000.
func BenchmarkMemory(b *testing.B) {
	const answers = 100_000
	for b.Loop() {
		before := heap()
		c := warm(b, answers)
		b.ReportMetric(float64(heap()-before)/answers, "B/answer")
		runtime.KeepAlive(c)
	}
}

// heap is what is in use after a collection.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkKnown is what a known client costs, by many processors.
func BenchmarkKnown(b *testing.B) {
	c := warm(b, 100_000)
	checker := ocsp.Checker{Status: c.Status}
	chain := lamp()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := 0; pb.Next(); n++ {
			fp := numbered(n % 100_000).Fingerprint
			if _, err := checker.Check(b.Context(), []*x509.Certificate{chain.Leaf, chain.Issuer}, fp, false); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkVerify is what an answer costs.
func BenchmarkVerify(b *testing.B) {
	response := good()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ocsp.Verify(response, lamp(), nil, time.Now(), nil); err != nil {
			b.Fatal(err)
		}
	}
}
