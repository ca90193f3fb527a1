// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"strings"
	"testing"
)

func TestTailIsTheEndOfAnOutput(t *testing.T) {
	t.Parallel()
	var l Lines
	fmt.Fprint(&l, "one\ntwo")
	if got := l.Tail(); got != "one\ntwo" {
		t.Errorf("got %q of two lines, want all", got)
	}
	for i := range 1000 {
		fmt.Fprintf(&l, "\nline %d", i)
	}
	got := strings.Split(l.Tail(), "\n")
	if len(got) != tailLines+1 || got[0] != "… 962 lines before" || got[tailLines] != "line 999" {
		t.Errorf("got %d lines, from %q to %q", len(got), got[0], got[len(got)-1])
	}
}
