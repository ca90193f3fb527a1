// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"runtime"
	"testing"

	"github.com/vernegate/vernegate/proxy/listen"
)

func TestPortReuse(t *testing.T) {
	t.Parallel()
	if mustLoad(t).ReusePort || mustLoad(t, "VERNEGATE_REUSE_PORT=false").ReusePort {
		t.Error("it is on, though nobody has asked for it")
	}
	wantMistake(t, "VERNEGATE_REUSE_PORT=yes", "expected true or false")
	const on = "VERNEGATE_REUSE_PORT=true"
	if !listen.CanShare {
		wantMistake(t, on, "expected false on "+runtime.GOOS+", which does not divide connections among processes")
		return
	}
	if !mustLoad(t, on).ReusePort {
		t.Error("it is off, though it was asked for")
	}
}
