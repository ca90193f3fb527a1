// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"
)

// Devices that have not noticed yet that their vernegate was killed are connected for a moment at first.
func TestTenthsAreThereToStay(t *testing.T) {
	t.Parallel()
	var arrivals []arrival
	for i, connected := range []int{100, 40, 0, 9, 10, 25, 70, 100} {
		arrivals = append(arrivals, arrival{time.Duration(i) * time.Second, connected})
	}
	want := []float64{4, 5, 6, 6, 6, 6, 6, 7, 7, 7}
	if got := tenths(arrivals); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
