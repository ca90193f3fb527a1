// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// A device cannot take the session of another by its client id.
func TestClientIDsAreTiedToTheOwner(t *testing.T) {
	t.Parallel()
	for policy, allowed := range map[string]map[string]bool{
		"owner":        {"acme:lamp": true, "acme:lamp-2": false, "acme:lamp2": false, "acme:meter": false, "": false},
		"owner-prefix": {"acme:lamp": true, "acme:lamp-2": true, "acme:lamp2": false, "acme:meter": false, "": false},
	} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			s := limitedFixture(t, "VERNEGATE_CLIENT_ID", policy)
			lamp := s.device("acme:lamp")
			for clientID, ok := range allowed {
				for _, v := range versions {
					w := dialWire(t, s.through(lamp, 0))
					if err := w.Send(connectPacket{version: v, clientID: clientID}.bytes()); err != nil {
						t.Fatal(err)
					}
					want := refused(v, 2, 0x85)
					if ok {
						want = accepted(v)
					}
					if got := must(w.ReadN(len(want)))(t); !bytes.Equal(got, want) {
						t.Errorf("%v with the client id %q got % X, want % X", v, clientID, got, want)
					}
					w.Close()
					if !ok {
						s.ending(t, w.LocalAddr(), "client_id_not_allowed")
					}
				}
			}
			s.checkCounts(t, "client_id_not_allowed")
		})
	}
}

// Of a CONNECT with everything in it, the broker gets all but the password.
func TestPasswordIsStripped(t *testing.T) {
	t.Parallel()
	fake := must(stack.StartFakeBroker())(t)
	t.Cleanup(func() { fake.Close() })
	s := newFixture(t, fake.Addr, "VERNEGATE_PASSWORD", "strip")
	dial := s.through(s.device("acme:lamp"), 0)
	for _, v := range versions {
		sent := connectPacket{
			version: v, clientID: unique(), username: "impostor", password: "hunter2",
			will: &stack.Message{Topic: "acme:lamp/attrs", Payload: "gone", QoS: 1, Retain: true},
		}
		w := dialWire(t, dial)
		if err := w.Send(sent.bytes()); err != nil {
			t.Fatal(err)
		}
		must(w.ReadN(len(accepted(v))))(t)
		sent.username, sent.password = "acme:lamp", ""
		if got := received(fake, sent.clientID); !bytes.Equal(got, sent.bytes()) {
			t.Errorf("%v: the broker got\n% X, want\n% X", v, got, sent.bytes())
		}
	}
}
