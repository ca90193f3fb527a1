// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// million is how many entries the lists of these tests and benchmarks have.
func million(tb testing.TB) int {
	tb.Helper()
	if testing.Short() {
		return 50_000
	}
	return 1_000_000
}

func TestMillionEntriesAreFoundInLittleMemory(t *testing.T) {
	// Not parallel: it measures what the heap grows by.
	n := million(t)
	der := certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: n})

	var before, parsed, kept runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	list, err := Parse(bytes.NewReader(der), nil)
	elapsed := time.Since(start)
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&parsed)
	runtime.GC()
	runtime.ReadMemStats(&kept)
	t.Logf("%d entries in %v, %d bytes allocated, %d kept", n, elapsed,
		parsed.TotalAlloc-before.TotalAlloc, kept.HeapAlloc-before.HeapAlloc)

	const serialOctets = 20
	mostKept := uint64(n*serialOctets*5/4 + 1<<16)
	if got := kept.HeapAlloc - before.HeapAlloc; int64(got) > int64(mostKept) {
		t.Errorf("%d bytes are kept, want at most %d", got, mostKept)
	}
	if got := parsed.TotalAlloc - before.TotalAlloc; got > 2*mostKept {
		t.Errorf("%d bytes were allocated, want at most %d", got, 2*mostKept)
	}
	if list.Entries != n {
		t.Errorf("%d entries, want %d", list.Entries, n)
	}
	const stride = 41 // looking all of them up takes long with -race
	for i := 0; i < n; i += stride {
		if !list.Has(certtest.FillSerial(i)) {
			t.Fatalf("entry %d is not found", i)
		}
	}
	for i := n; i < n+1000; i++ {
		if list.Has(certtest.FillSerial(i)) {
			t.Fatalf("serial number %d is found but not in the list", i)
		}
	}
	runtime.KeepAlive(list)
	runtime.KeepAlive(der)
}

func BenchmarkParseCRL(b *testing.B) {
	der := certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: million(b)})
	b.SetBytes(int64(len(der)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(bytes.NewReader(der), nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	n := million(b)
	list, err := Parse(bytes.NewReader(certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: n})), nil)
	if err != nil {
		b.Fatal(err)
	}
	for name, first := range map[string]int{"revoked": 0, "good": n} {
		b.Run(name, func(b *testing.B) {
			serials := make([]*big.Int, 1<<16)
			for i := range serials {
				serials[i] = certtest.FillSerial(first + i*(n>>16+1)%n)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				list.Has(serials[i%len(serials)])
			}
		})
	}
}
