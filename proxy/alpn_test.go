// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/proxy"
)

// refusedALPN is the alert of RFC 7301 §3.2.
const refusedALPN = "tls: no application protocol"

// speak has a device that names these protocols connect, by WebSocket if that is what comes of it.
func speak(t *testing.T, g *gate, b *broker, config *tls.Config, names ...string) (state tls.ConnectionState, byWebSocket bool) {
	t.Helper()
	config = config.Clone()
	config.NextProtos = names
	conn, err := tls.Dial("tcp", g.addr, config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	state = conn.ConnectionState()
	if byWebSocket = state.NegotiatedProtocol == "http/1.1"; byWebSocket {
		client := upgrade(t, conn)
		client.within(patience)
		write(t, client, connect311)
		_ = b.greet(connect311Owned, connack311).Close()
		wantBytes(t, client, connack311)
		return conn.ConnectionState(), true
	}
	write(t, conn, connect311)
	_ = b.greet(connect311Owned, connack311).Close()
	wantBytes(t, conn, connack311)
	return conn.ConnectionState(), false
}

func TestProtocolIsChosenByALPN(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startProtocolGate(t, proxy.Devices, proxy.ByALPN, brokers(b))
	for _, version := range bothVersions {
		config := clientConfig(testPKI().device)
		config.MinVersion, config.MaxVersion = version, version
		for _, test := range []struct {
			names []string
			want  string // what the server answers
		}{
			{nil, ""},
			{[]string{"mqtt"}, "mqtt"},
			{[]string{"x-amzn-mqtt-ca"}, "x-amzn-mqtt-ca"},
			{[]string{"http/1.1"}, "http/1.1"},
			{[]string{"h2", "http/1.1"}, "http/1.1"},
			{[]string{"http/1.1", "mqtt"}, "mqtt"},
			{[]string{"unknown", "x-amzn-mqtt-ca", "mqtt"}, "mqtt"},
		} {
			state, byWebSocket := speak(t, g, b, config, test.names...)
			if state.NegotiatedProtocol != test.want || byWebSocket != (test.want == "http/1.1") {
				t.Errorf("%s, %q: got %q, by WebSocket %v, want %q", tls.VersionName(version), test.names, state.NegotiatedProtocol, byWebSocket, test.want)
			}
		}
	}
	line := g.logs.await(t, func(l map[string]any) bool { return l["msg"] == "connection ended" && l["websocket"] == true })
	if line["listener"] != "devices" {
		t.Errorf("got listener %v, want devices, which it came in by", line["listener"])
	}
}

// A client that names only other protocols is refused as RFC 7301 says, where protocols are chosen.
func TestUnknownProtocols(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		protocol proxy.Protocol
		names    []string
		refused  bool
	}{
		{proxy.ByALPN, []string{"h2"}, true},
		{proxy.ByALPN, []string{"MQTT"}, true},
		{proxy.WebSocket, []string{"h2"}, true},
		{proxy.WebSocket, []string{"mqtt"}, true},
		{proxy.WebSocket, []string{"h2", "http/1.1"}, false},
		{proxy.WebSocket, nil, false},
		{proxy.MQTT, []string{"h2"}, false},
		{proxy.MQTT, []string{"http/1.1"}, false},
	} {
		for _, version := range bothVersions {
			t.Run(fmt.Sprint(test.protocol, test.names, tls.VersionName(version)), func(t *testing.T) {
				t.Parallel()
				g := startProtocolGate(t, proxy.Devices, test.protocol, nil)
				config := clientConfig(testPKI().device)
				config.MinVersion, config.MaxVersion = version, version
				config.NextProtos = test.names
				conn, err := tls.Dial("tcp", g.addr, config)
				if refused := alert(err) == refusedALPN; refused != test.refused {
					t.Fatalf("got %v, want refused %v", err, test.refused)
				}
				if !test.refused {
					_ = conn.Close()
					return
				}
				if line := g.wantEnd(proxy.TLSHandshake); !strings.Contains(line["err"].(string), "unsupported application protocols") {
					t.Errorf("got err %v, want that it names the protocols", line["err"])
				}
			})
		}
	}
}

// Without ALPN the listener takes MQTT, and so it takes no WebSocket, whatever the client names.
func TestWithoutALPNItIsMQTT(t *testing.T) {
	t.Parallel()
	for _, protocol := range []proxy.Protocol{proxy.MQTT, proxy.ByALPN} {
		g := startProtocolGate(t, proxy.Devices, protocol, nil)
		conn := g.dial(testPKI().device)
		write(t, conn, []byte(upgradeRequest))
		wantEOF(t, conn)
		g.wantEnd(proxy.ConnectMalformed)
	}
}

// A TLS session is resumed whatever protocol it was made for and whatever it is for now; the protocol is that of the new
// handshake. What is revoked is out all the same.
func TestResumedSessionsChooseAnew(t *testing.T) {
	t.Parallel()
	for _, version := range bothVersions {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startProtocolGate(t, proxy.Devices, proxy.ByALPN, brokers(b))
			device := roamer(version)
			for i, names := range [][]string{{"mqtt"}, {"http/1.1"}, nil, {"x-amzn-mqtt-ca"}, {"http/1.1"}} {
				state, _ := speak(t, g, b, device, names...)
				want := ""
				if names != nil {
					want = names[0]
				}
				if state.NegotiatedProtocol != want || state.DidResume != (i > 0) {
					t.Errorf("%q: got %q, resumed %v", names, state.NegotiatedProtocol, state.DidResume)
				}
			}
			g.trust.Store(newTrust(testPKI().device.Leaf))
			device.NextProtos = []string{"http/1.1"}
			if got := alert(firstError(t, g.addr, device)); got != "tls: bad certificate" {
				t.Errorf("got alert %q, want that the certificate is bad", got)
			}
		})
	}
}
