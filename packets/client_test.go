// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

func TestAppendConnectIsReadBack(t *testing.T) {
	t.Parallel()
	for _, username := range []string{"acme:lamp", strings.Repeat("x", 1024)} {
		raw := packets.AppendConnect(nil, "c1", username)
		c, err := packets.ReadConnect(bytes.NewReader(raw), 1<<16)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := c.Username()
		if c.Version != packets.V311 || c.ClientID() != "c1" || name != username || c.Size() != len(raw) {
			t.Errorf("got %v with username %.20q", c, name)
		}
	}
}
