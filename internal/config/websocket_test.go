// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"testing"
)

func TestWebSocketIsOff(t *testing.T) {
	t.Parallel()
	c := mustLoad(t)
	if c.WSListen != "" || c.ListenALPN || len(c.WSOrigins) > 0 || c.WSPath != "/mqtt" {
		t.Errorf("got %q, %v, %q and %q, want nothing but the path", c.WSListen, c.ListenALPN, c.WSOrigins, c.WSPath)
	}
}

func TestWebSocketListener(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "VERNEGATE_WS_LISTEN=:8884", "VERNEGATE_LISTEN_ALPN=true")
	if c.WSListen != ":8884" || !c.ListenALPN {
		t.Errorf("got %q and %v", c.WSListen, c.ListenALPN)
	}
	wantMistake(t, "VERNEGATE_WS_LISTEN=8884", "expected an address to listen on such as :8883 or 192.0.2.1:8883")
	wantMistake(t, "VERNEGATE_WS_LISTEN=:8883", `expected another address than VERNEGATE_LISTEN=":8883"`)
	wantMistake(t, "VERNEGATE_LISTEN_ALPN=yes", "expected true or false")
}

func TestWebSocketThatNobodyCanComeInBy(t *testing.T) {
	t.Parallel()
	const want = "has no effect without VERNEGATE_WS_LISTEN or VERNEGATE_LISTEN_ALPN=true"
	wantMistake(t, "VERNEGATE_WS_ORIGINS=dash.example.org", want)
	wantMistake(t, "VERNEGATE_WS_PATH=/mqtt", want)
}

func TestWebSocketPath(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/mqtt", "/a/b-c_d.e"} {
		if got := mustLoad(t, "VERNEGATE_WS_LISTEN=:8884", "VERNEGATE_WS_PATH="+path).WSPath; string(got) != path {
			t.Errorf("got %q, want %q", got, path)
		}
	}
	for _, path := range []string{"mqtt", "/mqtt?x=1", "/a b", "/%6d", "wss://gate/mqtt", "/mqtt#x"} {
		wantMistake(t, "VERNEGATE_WS_PATH="+path, "expected the path of a URL such as /mqtt")
	}
}

func TestWebSocketOrigins(t *testing.T) {
	t.Parallel()
	good := []string{"dash.example.org", "*.example.org:8443", "https://dash.example.org", "https://[2001:db8::1]:443", "*"}
	for _, origin := range good {
		if got := mustLoad(t, "VERNEGATE_LISTEN_ALPN=true", "VERNEGATE_WS_ORIGINS="+origin+", b.example").WSOrigins; !slices.Equal(got, originPatterns{origin, "b.example"}) {
			t.Errorf("got %q", got)
		}
	}
	for _, origin := range []string{"https://dash.example.org/", "https://", "://a", "[", "a b", "user@host"} {
		wantMistake(t, "VERNEGATE_WS_ORIGINS="+origin, `"`+origin+`" is not an origin such as https://dash.example.org or *.example.org:8443`)
	}
	wantMistake(t, "VERNEGATE_WS_ORIGINS=a,,b", "a list element is blank: expected origins separated by commas")
}
