// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package outbound_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/outbound"
)

func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *url.URL) {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return s, u
}

func get(t *testing.T, c outbound.Config, target string) (string, error) {
	t.Helper()
	client := outbound.NewClient(c)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

func unreached(t *testing.T) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { t.Errorf("called with %s", r.URL) }
}

func TestOnlyAllowedHostsAreCalled(t *testing.T) {
	t.Parallel()
	_, good := serve(t, hello)
	_, bad := serve(t, unreached(t))
	allowed := outbound.Config{Hosts: outbound.Hosts{}.With(good)}
	if got, err := get(t, allowed, good.String()); got != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := get(t, allowed, bad.String()); !errors.Is(err, outbound.ErrHost) {
		t.Errorf("got %v, want %v", err, outbound.ErrHost)
	}
}

func TestRedirectsStayWithTheirServer(t *testing.T) {
	t.Parallel()
	_, elsewhere := serve(t, unreached(t))
	var target string
	_, u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			hello(w, r)
			return
		}
		http.Redirect(w, r, target, http.StatusFound)
	})
	allowed := outbound.Config{Hosts: outbound.Hosts{}.With(u, elsewhere)}
	for where, want := range map[string]error{
		"/there":                         nil,
		elsewhere.String():               outbound.ErrRedirect, // though it may be called
		"http://169.254.169.254/":        outbound.ErrRedirect,
		"http://user:secret@" + u.Host:   nil, // and then round and round
		"https://" + u.Host:              nil, // where it does not speak TLS
		"file:///etc/passwd":             outbound.ErrRedirect,
		"http://localhost:" + u.Port():   outbound.ErrRedirect,
		"http://127.0.0.1.:" + u.Port():  nil,
		"http://127.0.0.1:1/another/way": outbound.ErrRedirect,
	} {
		target = where
		got, err := get(t, allowed, u.String())
		switch {
		case where == "/there" && got != "hello":
			t.Errorf("%s: got %q, %v", where, got, err)
		case want != nil && !errors.Is(err, want):
			t.Errorf("%s: got %v, want %v", where, err, want)
		case where != "/there" && err == nil:
			t.Errorf("%s: followed without end", where)
		}
	}
}

// Who writes into the DNS of an allowed domain must not choose that this machine's own
// services are called.
func TestADomainDoesNotLeadToThisMachine(t *testing.T) {
	resolveToLoopback(t)
	_, u := serve(t, hello)
	var domain outbound.Hosts
	if err := domain.UnmarshalText([]byte("*.example.org:" + u.Port())); err != nil {
		t.Fatal(err)
	}
	target := "http://metadata.example.org:" + u.Port()
	if _, err := get(t, outbound.Config{Hosts: domain}, target); !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("below an allowed domain: got %v, want %v", err, outbound.ErrAddress)
	}
	named, _ := url.Parse(target)
	if got, err := get(t, outbound.Config{Hosts: domain.With(named)}, target); got != "hello" {
		t.Errorf("named by itself: got %q, %v", got, err)
	}
}

func TestAddressesThatNoPublicServerHas(t *testing.T) {
	t.Parallel()
	for address, public := range map[string]bool{
		"192.0.2.1":                true,
		"10.0.0.1":                 true, // a CA of one's own may be there
		"2001:db8::1":              true,
		"fd00::1":                  true,
		"127.0.0.1":                false,
		"0.0.0.0":                  false,
		"169.254.169.254":          false,
		"168.63.129.16":            false,
		"224.0.0.1":                false,
		"::":                       false,
		"::1":                      false,
		"fe80::1%lo":               false,
		"ff02::1":                  false,
		"fd00:ec2::254":            false,
		"::ffff:169.254.169.254":   false,
		"::ffff:192.0.2.1":         true,
		"64:ff9b::192.0.2.1":       true,
		"64:ff9b::a9fe:a9fe":       false,
		"64:ff9b::127.0.0.1":       false,
		"64:ff9b::0.0.0.0":         false,
		"64:ff9b::100.100.100.200": false,
		"64:ff9c::a9fe:a9fe":       true,
		"::169.254.169.254":        false,
		"::127.0.0.1":              false,
		"::192.0.2.1":              true,
	} {
		err := outbound.PublicOnly(t.Context(), "tcp", net.JoinHostPort(address, "80"), nil)
		if (err == nil) != public || err != nil && !errors.Is(err, outbound.ErrAddress) {
			t.Errorf("%s: got %v, want it to be called: %t", address, err, public)
		}
	}
}

// resolveToLoopback has every name resolve to 127.0.0.1 until the test ends, which must not be parallel: the resolver is Go's for
// all.
func resolveToLoopback(t *testing.T) {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for b := make([]byte, 512); ; {
			n, from, err := server.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = server.WriteTo(answerA(b[:n]), from)
		}
	}()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = server.Close()
	})
}

// answerA answers a DNS query with one question (RFC 1035 §4.1): 127.0.0.1, or nothing where no IPv4 address is asked for.
func answerA(query []byte) []byte {
	const header = 12
	end := header + bytes.IndexByte(query[header:], 0) + 1 // of the name, behind which are type and class
	isA := query[end+1] == 1
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, query[header:end+4]...)
	if isA {
		reply[7] = 1
		reply = append(reply, 0xc0, header, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1)
	}
	return reply
}

func TestTheProxyIsTheOneConfigured(t *testing.T) {
	_, server := serve(t, unreached(t))
	_, via := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "proxied "+r.URL.String()) })
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	target := "http://crl.example.org/"
	var named outbound.Hosts
	if err := named.UnmarshalText([]byte("crl.example.org")); err != nil {
		t.Fatal(err)
	}
	var proxy outbound.Proxy
	if err := proxy.UnmarshalText([]byte(via.String())); err != nil {
		t.Fatal(err)
	}
	if got, err := get(t, outbound.Config{Hosts: named, Proxy: proxy}, target); got != "proxied "+target {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := get(t, outbound.Config{Hosts: named, Proxy: proxy}, server.String()); !errors.Is(err, outbound.ErrHost) {
		t.Errorf("a host that is not allowed is asked for at the proxy: %v", err)
	}
	_, direct := serve(t, hello)
	if got, err := get(t, outbound.Config{Hosts: named.With(direct)}, direct.String()); got != "hello" {
		t.Errorf("the environment is asked for a proxy: %q, %v", got, err)
	}
}

// Where the environment has no proxy for a host, nobody else does the resolving.
func TestTheEnvironmentWithoutAProxyIsGuarded(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"} {
		t.Setenv(name, "")
	}
	resolveToLoopback(t)
	_, server := serve(t, unreached(t))
	var domain outbound.Hosts
	if err := domain.UnmarshalText([]byte("*.example.org:" + server.Port())); err != nil {
		t.Fatal(err)
	}
	var environment outbound.Proxy
	if err := environment.UnmarshalText([]byte("environment")); err != nil {
		t.Fatal(err)
	}
	got, err := get(t, outbound.Config{Hosts: domain, Proxy: environment}, "http://metadata.example.org:"+server.Port())
	if !errors.Is(err, outbound.ErrAddress) {
		t.Errorf("got %q, %v; want %v", got, err, outbound.ErrAddress)
	}
}

func TestProxiesThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "on", "socks5://a:1", "proxy:3128", "http://", "http://a/path"} {
		var p outbound.Proxy
		if err := p.UnmarshalText([]byte(text)); err == nil || text != "" && strings.Contains(err.Error(), "\""+text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestASilentServerIsLeft(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	_, u := serve(t, func(http.ResponseWriter, *http.Request) { <-done })
	t.Cleanup(func() { close(done) })
	if _, err := get(t, outbound.Config{Hosts: outbound.Hosts{}.With(u), Timeout: 50 * time.Millisecond}, u.String()); err == nil {
		t.Error("answered")
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	t.Parallel()
	_, u := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Long", strings.Repeat("a", 64<<10)) })
	if _, err := get(t, outbound.Config{Hosts: outbound.Hosts{}.With(u)}, u.String()); err == nil {
		t.Error("read")
	}
}

func TestBodiesAreLimited(t *testing.T) {
	t.Parallel()
	const limit = 1000
	for name, row := range map[string]struct {
		size     int
		announce bool
		good     bool
	}{
		"as large as it may be":     {limit, true, true},
		"likewise, not announced":   {limit, false, true},
		"one byte more":             {limit + 1, true, false},
		"one byte more, unknown":    {limit + 1, false, false},
		"far more, in large pieces": {1 << 20, false, false},
	} {
		resp := &http.Response{Body: io.NopCloser(strings.NewReader(strings.Repeat("x", row.size))), ContentLength: -1}
		if row.announce {
			resp.ContentLength = int64(row.size)
		}
		got, err := io.ReadAll(outbound.LimitBody(resp, limit))
		if row.good && (err != nil || len(got) != row.size) || !row.good && !errors.Is(err, outbound.ErrTooLarge) || len(got) > limit {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestRequestsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	_, u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	client := outbound.NewClient(outbound.Config{Hosts: outbound.Hosts{}.With(u)})
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	cancel()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
