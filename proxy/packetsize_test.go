// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// limited5 is connect5 with a Maximum Packet Size, and what the broker gets of it.
func limited5(size uint32) (connect, owned []byte) {
	properties := append([]byte{5, 0x27}, binary.BigEndian.AppendUint32(nil, size)...)
	connect = slices.Concat([]byte("\x10\x14\x00\x04MQTT\x05\x02\x00\x3c"), properties, []byte("\x00\x02c1"))
	owned = slices.Concat([]byte("\x10\x20\x00\x04MQTT\x05\x82\x00\x3c"), properties, []byte("\x00\x02c1\x00\x0aadmin:dev1"))
	return connect, owned
}

// A 5.0 client says how large a packet it takes. That binds those of the gate, too: what can be left out is, and then the
// packet. [MQTT-3.1.2-24]
func TestMaximumPacketSizeBindsTheDisconnect(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		size uint32
		want string
	}{{17, "\xe0\x0f\x9c\x0d\x1c\x00\x0agate2:8883"}, {16, "\xe0\x01\x8b"}, {3, "\xe0\x01\x8b"}, {2, ""}, {1, ""}} {
		b := startBroker(t)
		g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.ServerReference = "gate2:8883" })
		connect, owned := limited5(row.size)
		client := g.device(connect)
		backend := b.greet(owned, connack5)
		wantBytes(t, client, connack5)
		g.Drain(t.Context(), 0)
		if got, err := io.ReadAll(client); err != nil || string(got) != row.want {
			t.Errorf("Maximum Packet Size %d: got % x and %v, want % x", row.size, got, err, row.want)
		}
		_ = backend.Close()
	}
}

func TestMaximumPacketSizeBindsTheConnack(t *testing.T) {
	t.Parallel()
	g := startGate(t, func(c *proxy.Config) {
		c.Owner = func(context.Context, proxy.Peer) (string, bool, error) { return "", false, nil }
	})
	for size, want := range map[uint32]string{5: "\x20\x03\x00\x87\x00", 4: "", 2: ""} {
		connect, _ := limited5(size)
		if got, err := io.ReadAll(g.device(connect)); err != nil || string(got) != want {
			t.Errorf("Maximum Packet Size %d: got % x and %v, want % x", size, got, err, want)
		}
		broken := append(slices.Clone(connect[:len(connect)-2]), 0xff, 0xfe) // the client id is no UTF-8
		if size < 5 {
			if got, err := io.ReadAll(g.device(broken)); err != nil || len(got) > 0 {
				t.Errorf("Maximum Packet Size %d and a malformed CONNECT: got % x and %v, want nothing", size, got, err)
			}
		}
	}
}

// A device that has something to say and then resets the connection, at once, is heard: what had arrived goes to the broker.
func TestWhatADeviceSaidBeforeItsResetReachesTheBroker(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	message := []byte("\x30\x04\x00\x01tx")
	for range 10 {
		client := g.device(slices.Concat(connect311, message, message, message))
		backend := b.accept()
		wantBytes(t, backend, connect311Owned)
		raw := client.NetConn().(*net.TCPConn)
		_ = raw.SetLinger(0)
		_ = raw.Close()
		write(t, backend, connack311)
		wantBytes(t, backend, slices.Concat(message, message, message))
		wantEOF(t, backend)
		_ = backend.Close()
	}
}
