// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerfile

import (
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// The time that the latest look has taken is none in which the file was seen to stay the same.
func TestLookingIsNoSettling(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := Store{pending: new(version), since: now.Add(-watch.SettleDelay)}
	if s.hasSettled(now.Add(-1)) || !s.hasSettled(now) {
		t.Error("what counts is not when the look began")
	}
}
