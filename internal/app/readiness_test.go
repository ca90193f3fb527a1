// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"errors"
	"testing"
)

func TestReadinessTellsTheLatestReason(t *testing.T) {
	t.Parallel()
	var r readiness
	if err := r.err(); err != nil {
		t.Errorf("a zero readiness is not ready: %v", err)
	}
	for _, reason := range []error{errNoGeneration, nil, errShuttingDown} {
		r.set(reason)
		if got := r.err(); !errors.Is(got, reason) {
			t.Errorf("got %v, want %v", got, reason)
		}
	}
}
