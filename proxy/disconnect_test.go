// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// A client that has said goodbye is told from one that was lost, in the log and in the metrics.
func TestDisconnectIsToldFromALoss(t *testing.T) {
	t.Parallel()
	const v5Disconnect = "\xe0\x02\x04\x00" // with the will
	for name, test := range map[string]struct {
		end    func(g *gate, client *tls.Conn, backend net.Conn)
		reason proxy.Reason
		want   string
	}{
		"client says DISCONNECT": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			write(t, client, disconnect)
			_ = client.Close()
			wantBytes(t, backend, disconnect)
			wantEOF(t, backend)
			_ = backend.Close()
		}, proxy.ClientClosed, "client"},
		"client says DISCONNECT and the broker ends first": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			write(t, client, []byte(v5Disconnect))
			wantBytes(t, backend, []byte(v5Disconnect))
			_ = backend.Close()
		}, proxy.ClientClosed, "client"},
		"client closes": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			_ = client.Close()
			wantEOF(t, backend)
			_ = backend.Close()
		}, proxy.ClientClosed, "none"},
		"client is cut": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			_ = client.NetConn().(*net.TCPConn).SetLinger(0)
			_ = client.NetConn().Close()
			wantEOF(t, backend)
			_ = backend.Close()
		}, proxy.ClientClosed, "none"},
		"client pings last": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			write(t, client, pingreq)
			wantBytes(t, backend, pingreq)
			_ = client.Close()
			wantEOF(t, backend)
			_ = backend.Close()
		}, proxy.ClientClosed, "none"},
		"broker says DISCONNECT": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			write(t, backend, []byte("\xe0\x01\x8e"))
			_ = backend.Close()
			wantBytes(t, client, []byte("\xe0\x01\x8e"))
		}, proxy.BackendClosed, "broker"},
		"broker closes": {func(_ *gate, client *tls.Conn, backend net.Conn) {
			_ = backend.Close()
			wantEOF(t, client)
		}, proxy.BackendClosed, "none"},
		"we end it": {func(g *gate, client *tls.Conn, backend net.Conn) {
			g.Kick(proxy.Filter{Owner: "admin:dev1"}, nil)
			wantStopped(t, client, backend, 0x98)
		}, proxy.AdminKick, "none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			client, backend := session5(g, b, testPKI().device)
			test.end(g, client, backend)
			if line := g.wantEnd(test.reason); line["disconnect"] != test.want {
				t.Errorf("got disconnect %v, want %s", line["disconnect"], test.want)
			}
			for _, d := range []string{"client", "broker", "none"} {
				want := 0.0
				if d == test.want {
					want = 1
				}
				if got := counter(t, g.metrics, "vernegate_sessions_ended_total", map[string]string{"listener": "devices", "disconnect": d}); got != want {
					t.Errorf("counted %v with %s, want %v", got, d, want)
				}
			}
		})
	}
}

// What never became a session is neither.
func TestRefusalIsNoEndOfASession(t *testing.T) {
	t.Parallel()
	g := startGate(t, nil)
	client := g.device(connect311)
	wantBytes(t, client, versions["3.1.1"].unavailable)
	if line := g.wantEnd(proxy.BackendUnavailable); line["disconnect"] != nil {
		t.Errorf("got disconnect %v", line["disconnect"])
	}
}
