// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets

import (
	"errors"
	"testing"
)

// Inside the package, because a packet of 256 MiB takes long to build and to
// read; Rewrite looks at nothing of it but its length.
func TestRewriteKeepsToTheLimitOfMQTT(t *testing.T) {
	t.Parallel()
	const header, clientID, username = 5, "\x00\x00", "\x00\x01u"
	c := &Connect{
		raw:      make([]byte, header+maxRemainingLength-1),
		body:     header,
		flags:    header,
		clientID: span{header + len(clientID), header + len(clientID)},
		username: span{header + len(clientID), header + len(clientID) + len(username)},
	}

	name := "ooo"
	if _, err := c.Rewrite(Edit{Username: &name}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte larger: got %v, want %v", err, ErrTooLarge)
	}
}
