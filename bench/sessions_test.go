// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/ecdsa"
	"testing"
)

// Workers are told how many sessions there are to be, never fewer than before.
func TestPartsAreAllAndGrowWithTheWhole(t *testing.T) {
	t.Parallel()
	for of := 1; of <= 5; of++ {
		before := make([]int, of)
		for n := range 30 {
			sum := 0
			for i := range of {
				p := part(n, i, of)
				if p < before[i] {
					t.Errorf("part %d of %d has %d of %d, want no fewer than %d", i, of, p, n, before[i])
				}
				before[i], sum = p, sum+p
			}
			if sum != n {
				t.Errorf("%d parts of %d are %d", of, n, sum)
			}
		}
	}
}

// The kernel divides by chance: each process must have room for more than the average. With 20 000 descriptors,
// there is room for 9 600 sessions.
func TestProcessesAtOneAddressHaveRoom(t *testing.T) {
	t.Parallel()
	for _, n := range thorough.steps {
		if n <= thorough.full {
			continue
		}
		if average := n / processesFor(n, thorough.full); average > 8000 {
			t.Errorf("of %d sessions, a process gets about %d", n, average)
		}
	}
}

func TestIdentitiesAreTheDevices(t *testing.T) {
	t.Parallel()
	s, err := newTestbed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.close() }()
	devices := s.issueDevices(s.ca, nil, 2)
	shown, err := encodeIdentities(devices)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeIdentities(shown)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range devices {
		key := d.PrivateKey.(*ecdsa.PrivateKey)
		if !bytes.Equal(got[i].Certificate[0], d.Certificate[0]) || !key.Equal(got[i].PrivateKey) {
			t.Errorf("device %d is another one", i)
		}
	}
}
