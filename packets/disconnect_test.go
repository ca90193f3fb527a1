// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"testing"

	paho5 "github.com/eclipse/paho.golang/packets"

	"github.com/vernegate/vernegate/packets"
)

func TestAppendDisconnect(t *testing.T) {
	t.Parallel()
	got := packets.AppendDisconnect([]byte("head"), packets.ReasonServerShuttingDown)
	if want := "head\xe0\x01\x8b"; string(got) != want {
		t.Fatalf("got %x, want %x", got, want)
	}

	p, err := paho5.ReadPacket(bytes.NewReader(got[len("head"):]))
	if err != nil {
		t.Fatalf("paho: %v", err)
	}
	if d, ok := p.Content.(*paho5.Disconnect); !ok || d.ReasonCode != 0x8b {
		t.Errorf("paho reads %v", p)
	}
}
