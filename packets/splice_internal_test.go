// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"errors"
	"testing"
)

// Inside the package, because a packet of 256 MiB takes long to build and to
// read; WithUsername looks at nothing of it but its length.
func TestWithUsernameKeepsToTheLimitOfMQTT(t *testing.T) {
	t.Parallel()
	const header, username = 5, "\x00\x01u"
	c := &Connect{
		raw:      make([]byte, header+maxRemainingLength-1),
		body:     header,
		username: span{header, header + len(username)},
	}

	if _, err := c.WithUsername("ooo"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte larger: got %v, want %v", err, ErrTooLarge)
	}
}
