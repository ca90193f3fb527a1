// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/proxy/relay"
)

// A client that leaves while its broker takes nothing, as a frozen one, gives back what its session holds.
func TestFrozenBrokerKeepsNoSessionWithoutClient(t *testing.T) {
	t.Parallel()
	if !relay.Polls {
		t.Skip("without epoll, nobody sees that the client has left")
	}
	for name, leave := range map[string]func(*net.TCPConn){
		"reset": func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"end":   func(c *net.TCPConn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			frozen, healthy := startBroker(t), startBroker(t)
			g := startGate(t, func(c *proxy.Config) { brokers(frozen, healthy)(c); c.MaxConnectionsPerOwner = 1 })
			client, backend := session(g, frozen)
			publishUntilStuck(t, g, client, fixBuffers(t, backend, 4<<10))
			leave(client.NetConn().(*net.TCPConn))
			g.wantDetail(proxy.ClientClosed, "the broker took nothing of what the client had sent for 10s")
			session(g, healthy)
		})
	}
}

// The same the other way round: a broker ends a session whose client takes nothing, as one that is gone without a word.
func TestFrozenClientKeepsNoSessionWithoutBroker(t *testing.T) {
	t.Parallel()
	if !relay.Polls {
		t.Skip("without epoll, nobody sees that the broker has ended")
	}
	for name, leave := range map[string]func(*net.TCPConn){
		"reset": func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"end":   func(c *net.TCPConn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxConnectionsPerOwner = 1 })
			client, backend := session(g, b)
			sendUntilStuck(t, g, "down", backend, fixBuffers(t, client.NetConn(), 4<<10))
			leave(backend.(*net.TCPConn))
			g.wantDetail(proxy.BackendClosed, "the client took nothing of what the broker had sent for 10s")
			session(g, b)
		})
	}
}

// What was read from a client before its session is stopped is still written to a broker that is slow for a moment.
func TestStopWritesWhatWasRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		stop       func(*gate)
		disconnect string
	}{
		"drain": {func(g *gate) { g.Drain(t.Context(), 0) }, "\xe0\x01\x8b"},
		"kick":  {func(g *gate) { g.Kick(proxy.Filter{}, nil) }, "\xe0\x01\x98"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client, backend := session5(g, b, testPKI().device)
			publishUntilStuck(t, g, client, fixBuffers(t, backend, 64<<10))
			test.stop(g)
			wantBytes(t, client, []byte(test.disconnect)) // so the other direction has ended
			got, err := io.Copy(io.Discard, backend)
			_ = backend.Close()
			line := g.logs.await(t, func(l map[string]any) bool { return l["msg"] == "connection ended" })
			if read := line["bytes_up"].(float64); float64(got) != read {
				t.Errorf("the broker got %d bytes (%v) of %.0f that were read from the client", got, err, read)
			}
		})
	}
}

// fixBuffers keeps what the system holds of what is sent to c, by this process, from growing. It returns how to ask how many
// bytes of that are on their way. With a receiveSize below what the system has offered to take already, it takes nothing more
// after that; what was sent meanwhile comes late once c is read.
func fixBuffers(t *testing.T, c net.Conn, receiveSize int) (queued func() int) {
	t.Helper()
	// A writer is woken when a third of sendSize is free, which must be less than what publishUntilStuck leaves to be written: it
	// would fit otherwise when somebody tries.
	const sendSize = 8 << 10
	if err := c.(*net.TCPConn).SetReadBuffer(receiveSize); err != nil {
		t.Fatal(err)
	}
	from, to := netip.MustParseAddrPort(c.RemoteAddr().String()), netip.MustParseAddrPort(c.LocalAddr().String())
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, entry := range fds {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		local, _ := unix.Getsockname(fd) // fails where fd is no socket
		peer, _ := unix.Getpeername(fd)
		if addrPort(local) == from && addrPort(peer) == to {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, sendSize); err != nil {
				t.Fatal(err)
			}
			return func() int {
				n, err := outq(fd)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Fatalf("no socket of this process is at %v", from)
	return nil
}

// addrPort is an address of a socket; the zero value if it is not one of IPv4.
func addrPort(addr unix.Sockaddr) netip.AddrPort {
	if v4, ok := addr.(*unix.SockaddrInet4); ok {
		return netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), uint16(v4.Port))
	}
	return netip.AddrPort{}
}

// publishUntilStuck is sendUntilStuck of a client.
func publishUntilStuck(t *testing.T, g *gate, client *tls.Conn, queued func() int) {
	t.Helper()
	sendUntilStuck(t, g, "up", client, queued)
}

// sendUntilStuck sends until the gate reads no more, since the other side takes no more. The system tries again to send what is
// queued, at longer and longer intervals, and may have room for some more of it then, but not for all that is left.
func sendUntilStuck(t *testing.T, g *gate, direction string, sender io.Writer, queued func() int) {
	t.Helper()
	const quiet = 3 * time.Second
	labels := map[string]string{"listener": "devices", "direction": direction}
	carried := func() float64 { return counter(t, g.metrics, "vernegate_relayed_bytes_total", labels) }
	chunk := bytes.Repeat(pingreq, 16<<10)
	for sent := carried(); sent-carried() < float64(len(chunk)/2); {
		write(t, sender, chunk)
		sent += float64(len(chunk))
		before := queued()
		for changed := time.Now(); carried() < sent && time.Since(changed) < quiet; {
			<-time.After(time.Millisecond)
			if now := queued(); now != before {
				before, changed = now, time.Now()
			}
		}
	}
}
