// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// connectAs is a 3.1.1 CONNECT with clientID, and a username and a password where they are not empty.
func connectAs(clientID, username, password string) []byte {
	body := []byte("\x00\x04MQTT\x04\x02\x00\x3c")
	field := func(s string) {
		body = append(binary.BigEndian.AppendUint16(body, uint16(len(s))), s...)
	}
	field(clientID)
	if username != "" {
		body[7] |= 0x80
		field(username)
	}
	if password != "" {
		body[7] |= 0x40
		field(password)
	}
	return append([]byte{0x10, byte(len(body))}, body...)
}

func TestClientIDPolicies(t *testing.T) {
	t.Parallel()
	const free, owner, prefix = proxy.AnyClientID, proxy.OwnerClientID, proxy.OwnerPrefixClientID
	allowed := map[string][]proxy.ClientIDPolicy{
		"admin:dev1":       {free, owner, prefix},
		"admin:dev1:a":     {free, prefix},
		"admin:dev1/a":     {free, prefix},
		"admin:dev1-a":     {free, prefix},
		"admin:dev1_a":     {free, prefix},
		"admin:dev1.a":     {free, prefix},
		"admin:dev1.":      {free, prefix},
		"admin:dev10":      {free},
		"admin:dev1 ":      {free},
		"admin:dev1ä":      {free},
		"admin:dev1\u013a": {free}, // ĺ, whose UTF-8 begins with none of them
		"admin:dev":        {free},
		"Admin:dev1":       {free},
		"xadmin:dev1":      {free},
		"":                 {free},
	}
	for clientID, policies := range allowed {
		for _, policy := range []proxy.ClientIDPolicy{free, owner, prefix} {
			t.Run(fmt.Sprintf("%q under %d", clientID, policy), func(t *testing.T) {
				t.Parallel()
				b := startBroker(t)
				g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.ClientID = policy })
				client := g.device(connectAs(clientID, "", ""))
				for _, p := range policies {
					if p == policy {
						b.greet(connectAs(clientID, "admin:dev1", ""), connack311)
						wantBytes(t, client, connack311)
						return
					}
				}
				wantBytes(t, client, []byte("\x20\x02\x00\x02"))
				wantEOF(t, client)
				_ = client.Close()
				if line := g.wantEnd(proxy.ClientIDNotAllowed); line["owner"] != "admin:dev1" {
					t.Errorf("got owner %v in the log, want admin:dev1", line["owner"])
				}
				if n := b.count.Load(); n != 0 {
					t.Errorf("the broker got %d connections, want none", n)
				}
			})
		}
	}
}

func TestPasswordIsKeptOrStripped(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		strip      bool
		sent, want []byte
	}{
		"kept":              {false, connectAs("c1", "impostor", "secret"), connectAs("c1", "admin:dev1", "secret")},
		"stripped":          {true, connectAs("c1", "impostor", "secret"), connectAs("c1", "admin:dev1", "")},
		"nothing to strip":  {true, connectAs("c1", "impostor", ""), connectAs("c1", "admin:dev1", "")},
		"no username, none": {true, connectAs("c1", "", ""), connectAs("c1", "admin:dev1", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.StripPassword = test.strip })
			client := g.device(test.sent)
			b.greet(test.want, connack311)
			wantBytes(t, client, connack311)
		})
	}
}
