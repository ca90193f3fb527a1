// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/proxy/listen"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// Kinds of handshake messages (RFC 8446 §4).
const (
	helloMessage       = 1
	certificateMessage = 11
)

// beginning returns the first n bytes of a handshake message of some size, in records of record bytes at most.
func beginning(kind byte, size, n, record int) (wire []byte) {
	message := make([]byte, n)
	copy(message, []byte{kind, byte(size >> 16), byte(size >> 8), byte(size)})
	for len(message) > 0 {
		part := min(len(message), record)
		wire = append(wire, 22, 3, 3, byte(part>>8), byte(part))
		wire = append(wire, message[:part]...)
		message = message[part:]
	}
	return wire
}

// hello12 is a ClientHello of TLS 1.2 that has at least size bytes.
func hello12(t *testing.T, size int) []byte {
	t.Helper()
	config := clientConfig(nil)
	config.MaxVersion = tls.VersionTLS12
	for range size / 200 {
		config.NextProtos = append(config.NextProtos, strings.Repeat("x", 200))
	}
	return helloOf(t, config)
}

// A readCounter is a listener that knows what is read from its connections.
type readCounter struct {
	net.Listener
	read    atomic.Int64 // bytes
	waiting atomic.Int64 // reads
}

func (l *readCounter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return countedConn{c.(*net.TCPConn), l}, nil
}

type countedConn struct {
	*net.TCPConn
	l *readCounter
}

func (c countedConn) Read(p []byte) (int, error) {
	c.l.waiting.Add(1)
	defer c.l.waiting.Add(-1)
	n, err := c.TCPConn.Read(p)
	c.l.read.Add(int64(n))
	return n, err
}

// A stranger makes its connection hold no more than VERNEGATE_MAX_HANDSHAKES=auto counts with, whatever it sends.
func TestStrangersHoldLittle(t *testing.T) {
	// Not parallel: it measures the memory of the process.
	const strangers, limit = 300, 5 * 128 << 10 / 4 // handshakeMemory in internal/config, and what else goes on
	for name, flights := range map[string][][]byte{
		"almost a large ClientHello":           {beginning(helloMessage, 64<<10, 64<<10, 16<<10)},
		"almost large certificates":            {hello12(t, 0), beginning(certificateMessage, 256<<10, 256<<10, 16<<10)},
		"all of a ClientHello that is allowed": {beginning(helloMessage, 64<<10, 32500, 14300)},
		"all certificates that are allowed":    {hello12(t, 4000), beginning(certificateMessage, 256<<10, 28000, 13000)},
		"as much of both":                      {hello12(t, 12000), beginning(certificateMessage, 256<<10, 20000, 9500)},
	} {
		t.Run(name, func(t *testing.T) {
			tcp, err := listen.TCP(t.Context(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			l := &readCounter{Listener: tcp}
			g := serveGate(t, l, proxy.Devices, func(c *proxy.Config) { c.HandshakeTimeout, c.Logger = time.Hour, nil })
			conns := make([]net.Conn, strangers)
			before := heap()
			for i := range conns {
				conns[i] = dialRaw(t, g.addr)
			}
			sent := int64(0)
			for _, flight := range flights {
				for _, c := range conns {
					_, _ = c.Write(flight) // fails when the connection was closed
				}
				sent += int64(len(flight)) * strangers
				await(t, "the gate to have read it, or refused it", func() bool {
					return l.read.Load() == sent && l.waiting.Load() == strangers || ended(t, g, proxy.TLSHandshake) == strangers
				})
			}
			each := (heap() - before) / strangers
			if each > limit {
				t.Errorf("each of %d strangers holds %d bytes, want at most %d", strangers, each, limit)
			}
			t.Logf("each holds %d bytes, and %.0f of them were refused", each, ended(t, g, proxy.TLSHandshake))
		})
	}
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// ended returns how many connections of devices have ended for a reason.
func ended(t *testing.T, g *gate, reason proxy.Reason) float64 {
	t.Helper()
	return counter(t, g.metrics, "vernegate_connections_ended_total", map[string]string{"listener": "devices", "reason": reason.String()})
}

func TestLongHandshakesAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		role  proxy.Role
		from  string // where a PROXY header is expected from
		first string
	}{
		"devices":                     {role: proxy.Devices},
		"WebSocket":                   {role: proxy.WebSockets},
		"devices behind PROXY header": {role: proxy.Devices, from: "127.0.0.1/32", first: "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGateFor(t, test.role, func(c *proxy.Config) {
				if test.from != "" {
					c.ProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix(test.from)}
				}
			})
			c := dialRaw(t, g.addr)
			write(t, c, []byte(test.first))
			write(t, c, beginning(helloMessage, 64<<10, 40<<10, 16<<10))
			wantClosed(t, c)
			line := g.wantEnd(proxy.TLSHandshake)
			if want := "the client has sent more than 32768 bytes in its handshake"; line["err"] != want {
				t.Errorf("got the error %q, want %q", line["err"], want)
			}
		})
	}
}

// largestChain returns a device whose chain is as large as a chain may be, 16 KiB above the device's certificate.
func largestChain() *certtest.Cert { return deviceBelow(16 << 10) }

// Devices with the largest chains come in again and again, with whatever they got for a ticket.
func TestLargestChainsComeIn(t *testing.T) {
	t.Parallel()
	device := largestChain()
	for name, test := range greetings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) {
				brokers(b)(c)
				c.TLS.CurvePreferences = test.curves
			})
			config := atVersion(device, test.version)
			config.CurvePreferences = []tls.CurveID{tls.X25519MLKEM768, tls.CurveP384}
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for range 3 {
				if g.letIn(t, b, config).ConnectionState().DidResume {
					t.Error("it was resumed: its ticket is as large as two of its chains")
				}
			}
		})
	}
}

// A device has a ticket as long as that is small, and comes in when it opens nothing any more.
func TestTicketsOfUsualChains(t *testing.T) {
	t.Parallel()
	device := testPKI().ca.Intermediate("factory", certtest.RSA()).Intermediate("plant 7", certtest.RSA()).Issue("admin:dev1", certtest.RSA())
	inBothVersions(t, func(t *testing.T, version uint16) {
		b := startBroker(t)
		config := roamer(version)
		config.GetClientCertificate = atVersion(device, version).GetClientCertificate
		g := startReplica(t, b, newTrust(), 1)
		for i, want := range []bool{false, true, true} {
			if got := visit(t, g, b, config); got != want {
				t.Errorf("visit %d: resumed: got %v, want %v", i+1, got, want)
			}
		}
		if visit(t, startReplica(t, b, newTrust(), 2), b, config) {
			t.Error("resumed with the key of another replica")
		}
	})
}

// A heldConn is a client's connection that writes all at once.
type heldConn struct {
	net.Conn
	holds bool
	held  bytes.Buffer
}

func (c *heldConn) Write(p []byte) (int, error) {
	if c.holds {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// Read makes a client hold what it writes from its second flight on.
func (c *heldConn) Read(p []byte) (int, error) {
	c.holds = true
	return c.Conn.Read(p)
}

// What a client sends behind its handshake is no part of it, also when it comes in one segment with its end.
func TestWhatComesWithTheEndOfTheHandshakeIsKept(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	raw := &heldConn{Conn: dialRaw(t, g.addr)}
	beside := deviceBelow(28 << 10).Chain() // which its own chain does not need
	client := tls.Client(raw, sending(testPKI().device, tls.VersionTLS13, beside...))
	if err := client.Handshake(); err != nil {
		t.Fatal(err)
	}
	more := bytes.Repeat(pingreq, 20<<10)
	write(t, client, connect311)
	write(t, client, more)
	write(t, raw.Conn, raw.held.Bytes())
	backend := b.greet(connect311Owned, connack311)
	got := make([]byte, len(more))
	if _, err := io.ReadFull(backend, got); err != nil || !bytes.Equal(got, more) {
		t.Errorf("the broker got something else than what was sent (%v)", err)
	}
}
