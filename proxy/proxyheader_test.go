// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// Headers as HAProxy sends them, for a client at 192.0.2.7:4711 or [2001:db8::7]:4711.
const (
	proxyV1TCP4    = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n"
	proxyV1TCP6    = "PROXY TCP6 2001:db8::7 2001:db8::1 4711 8883\r\n"
	proxyV1Unknown = "PROXY UNKNOWN\r\n"
	proxyV2Sig     = "\r\n\r\n\x00\r\nQUIT\n"
	proxyV2TCP4    = proxyV2Sig + "\x21\x11\x00\x0c" + "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\x12\x67" + "\x22\xb3"
	proxyV2TCP6    = proxyV2Sig + "\x21\x21\x00\x24" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\x12\x67" + "\x22\xb3"
	proxyV2TLV     = proxyV2Sig + "\x21\x11\x00\x13" + "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\x12\x67" + "\x22\xb3" + "\x04\x00\x04nope"
	proxyV2Local   = proxyV2Sig + "\x20\x00\x00\x00"
	proxyV2LocalIP = proxyV2Sig + "\x20\x11\x00\x0c" + "\xc0\x00\x02\x07" + "\xc6\x33\x64\x01" + "\x12\x67" + "\x22\xb3"
)

// behindProxies expects headers from loopback.
func behindProxies(c *proxy.Config) {
	c.ProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.0/8")}
}

// A headed connection sends a header together with the first bytes, in one write.
type headed struct {
	net.Conn
	header string
}

func (c *headed) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(append([]byte(c.header), p...))
	n = max(n-len(c.header), 0)
	c.header = ""
	return n, err
}

// dialHeaded opens a connection of which header comes first.
func (g *gate) dialHeaded(header string) net.Conn {
	g.t.Helper()
	c, err := net.Dial("tcp", g.addr)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	return &headed{c, header}
}

func TestAddressOfTheClientIsThatOfTheProxyHeader(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ header, remote string }{
		"v1 TCP4":             {proxyV1TCP4, "192.0.2.7:4711"},
		"v1 TCP6":             {proxyV1TCP6, "[2001:db8::7]:4711"},
		"v2 TCP4":             {proxyV2TCP4, "192.0.2.7:4711"},
		"v2 TCP6":             {proxyV2TCP6, "[2001:db8::7]:4711"},
		"v2 TCP4 with a TLV":  {proxyV2TLV, "192.0.2.7:4711"},
		"v1 UNKNOWN":          {proxyV1Unknown, ""},
		"v2 LOCAL":            {proxyV2Local, ""},
		"v2 LOCAL with bytes": {proxyV2LocalIP, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) { brokers(b)(c); behindProxies(c) })
			conn := g.dialHeaded(test.header)
			client := tls.Client(conn, clientConfig(testPKI().device))
			write(t, client, connect311)
			backend := b.greet(connect311Owned, connack311)
			wantBytes(t, client, connack311)
			_ = client.Close()
			wantEOF(t, backend)
			_ = backend.Close()
			want := test.remote
			if want == "" {
				want = conn.LocalAddr().String()
			}
			if got := g.wantEnd(proxy.ClientClosed)["remote"]; got != want {
				t.Errorf("got remote %v, want %v", got, want)
			}
		})
	}
}

func TestProxyHeadersThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"none, but TLS":          "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
		"none, but MQTT":         string(connect311),
		"cut short":              proxyV2TCP4[:20],
		"v1 with a bare LF":      "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\n",
		"v1 without an end":      proxyV1TCP6[:len(proxyV1TCP6)-2] + string(make([]byte, 200)),
		"v1 address of no kind":  "PROXY TCP4 192.0.2.777 198.51.100.1 4711 8883\r\n",
		"v1 UDP":                 "PROXY UDP4 192.0.2.7 198.51.100.1 4711 8883\r\n",
		"v2 of another version":  proxyV2Sig + "\x31\x11\x00\x0c" + proxyV2TCP4[16:],
		"v2 signature, almost":   "\r\n\r\n\x00\r\nQUIT\r\x21\x11\x00\x0c" + proxyV2TCP4[16:],
		"v2 of an unknown kind":  proxyV2Sig + "\x21\x00\x00\x00",
		"v2 UDP":                 proxyV2Sig + "\x21\x12\x00\x0c" + proxyV2TCP4[16:],
		"v2 UNIX":                proxyV2Sig + "\x21\x31\x00\xd8" + string(make([]byte, 216)),
		"v2 too short for IPv6":  proxyV2Sig + "\x21\x21\x00\x0c" + proxyV2TCP4[16:],
		"v2 too long":            proxyV2Sig + "\x21\x11\x10\x01" + string(make([]byte, 4097)),
		"v2 LOCAL, but too long": proxyV2Sig + "\x20\x00\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, behindProxies)
			conn := g.dialHeaded("")
			write(t, conn, []byte(header))
			_ = conn.(*headed).Conn.(*net.TCPConn).CloseWrite()
			if got, _ := io.ReadAll(conn); len(got) > 0 {
				t.Errorf("got % x, want nothing", got)
			}
			if got := g.wantEnd(proxy.ProxyHeader)["remote"]; got != conn.LocalAddr().String() {
				t.Errorf("got remote %v, want that of the socket", got)
			}
		})
	}
}

// What a client says of itself counts for nothing where no proxy is expected.
func TestProxyHeaderFromElsewhereIsRefused(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"v1": proxyV1TCP4, "v2": proxyV2TCP4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, func(c *proxy.Config) {
				c.ProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("::/0")}
			})
			conn := g.dialHeaded(header)
			if err := tls.Client(conn, clientConfig(testPKI().device)).Handshake(); err == nil {
				t.Error("the handshake succeeded, want a refusal")
			}
			if got := g.wantEnd(proxy.ProxyHeader)["remote"]; got != conn.LocalAddr().String() {
				t.Errorf("got remote %v, want that of the socket", got)
			}
		})
	}
}

// The checks of a load balancer are no event, be they without a byte or with a header alone.
func TestChecksOfProxiesAreLoggedForDebugging(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{"nothing": "", "LOCAL": proxyV2Local, "v1": proxyV1TCP4} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := startGate(t, behindProxies)
			conn := g.dialHeaded("")
			write(t, conn, []byte(header))
			_ = conn.Close()
			if line := g.wantEnd(proxy.ClientClosed); line["level"] != "DEBUG" {
				t.Errorf("got level %v, want DEBUG", line["level"])
			}
		})
	}
}

// addressed gives a pipe the addresses of a socket.
type addressed struct {
	net.Conn
	remote, local net.Addr
}

func (c addressed) RemoteAddr() net.Addr { return c.remote }
func (c addressed) LocalAddr() net.Addr  { return c.local }

// dialFrom is dial from an address.
func (l *pipeListener) dialFrom(from string) net.Conn {
	client, server := net.Pipe()
	l.conns <- addressed{server, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from)), l.Addr()}
	return client
}

// A header may come in as many segments as it has bytes.
func TestProxyHeaderInPieces(t *testing.T) {
	for name, header := range map[string]string{"v1": proxyV1TCP6, "v1 UNKNOWN": proxyV1Unknown, "v2": proxyV2TCP6} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, behindProxies, func(t *testing.T, g *gate, l *pipeListener) {
				conn := l.dialFrom("[::ffff:10.1.2.3]:1000") // a socket of IPv6 names IPv4 addresses like this
				for i := range len(header) {
					write(t, conn, []byte(header[i:i+1])) // returns when the byte was read, and nothing else
				}
				client := tls.Client(conn, clientConfig(testPKI().device))
				if err := client.Handshake(); err != nil {
					t.Fatal(err)
				}
				_ = client.Close()
				g.wantEnd(proxy.ClientClosed)
			})
		})
	}
}

// The header and the handshake have their time together.
func TestSlowProxyHeaderIsClosedInTime(t *testing.T) {
	for name, test := range map[string]struct {
		send   string
		reason proxy.Reason
	}{
		"nothing":       {"", proxy.ProxyHeader},
		"half a header": {proxyV2TCP4[:14], proxy.ProxyHeader},
		"no handshake":  {proxyV2TCP4, proxy.TLSTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, behindProxies, func(t *testing.T, g *gate, l *pipeListener) {
				began := time.Now()
				conn := l.dialFrom("10.1.2.3:1000")
				time.Sleep(4 * time.Second) // of the bubble
				write(t, conn, []byte(test.send))
				_, _ = io.Copy(io.Discard, conn)
				if got := time.Since(began); got != 10*time.Second {
					t.Errorf("closed after %v, want 10s", got)
				}
				g.wantEnd(test.reason)
			})
		})
	}
}

func TestBrokerLearnsTheAddressOfTheClient(t *testing.T) {
	t.Parallel()
	const mixed = "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 4711 8883\r\n"
	for name, test := range map[string]struct {
		version byte
		inbound string // "" = no proxy before the gate
		want    string
	}{
		"v1":              {1, proxyV2TCP4, proxyV1TCP4},
		"v1 IPv6":         {1, proxyV2TCP6, proxyV1TCP6},
		"v1 both kinds":   {1, mixed, mixed},
		"v2":              {2, proxyV1TCP4, proxyV2TCP4},
		"v2 IPv6":         {2, proxyV1TCP6, proxyV2TCP6},
		"v2 without TLVs": {2, proxyV2TLV, proxyV2TCP4},
		"v2 both kinds": {2, mixed, proxyV2Sig + "\x21\x21\x00\x24" +
			"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07" + proxyV2TCP6[32:]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) {
				brokers(b)(c)
				behindProxies(c)
				c.BackendProxyProtocol = test.version
			})
			client := tls.Client(g.dialHeaded(test.inbound), clientConfig(testPKI().device))
			write(t, client, connect311)
			backend := b.accept()
			first := make([]byte, 1400)
			n, err := backend.Read(first)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := string(first[:n]), test.want+string(connect311Owned); got != want {
				t.Errorf("got in the first segment\n%q, want\n%q", got, want)
			}
			write(t, backend, connack311)
			wantBytes(t, client, connack311)
		})
	}
}

// Without a proxy before the gate, the broker is told both ends of the client's connection.
func TestBrokerLearnsTheAddressOfTheSocket(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.BackendProxyProtocol = 1 })
	client := g.device(connect311)
	remote, local := client.LocalAddr().(*net.TCPAddr), g.l.Addr().(*net.TCPAddr)
	header := "PROXY TCP4 127.0.0.1 127.0.0.1 " + port(remote) + " " + port(local) + "\r\n"
	b.greet(append([]byte(header), connect311Owned...), connack311)
	wantBytes(t, client, connack311)
}

func port(a *net.TCPAddr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

// A broker is never told that a client is of an unknown kind: VerneMQ does not survive that.
func TestClientWithoutAnAddressDoesNotReachABrokerThatWantsOne(t *testing.T) {
	change := func(c *proxy.Config) { c.Lease, c.BackendProxyProtocol = newTurns("broker.invalid:1").lease, 2 }
	inBubble(t, change, func(t *testing.T, g *gate, l *pipeListener) {
		client := tls.Client(l.dial(), clientConfig(testPKI().device))
		if err := client.Handshake(); err != nil {
			t.Fatal(err)
		}
		write(t, client, connect5)
		wantBytes(t, client, []byte("\x20\x03\x00\x88\x00"))
		wantEOF(t, client)
		if got, want := g.wantEnd(proxy.BackendUnavailable)["err"].(string), "no TCP addresses"; !strings.Contains(got, want) {
			t.Errorf("got err %q, want that there are %s", got, want)
		}
	})
}

// What our own probes say: version 2, LOCAL, no addresses.
func TestLocalHeader(t *testing.T) {
	t.Parallel()
	if got, want := string(proxy.LocalHeader()), "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
