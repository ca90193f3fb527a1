// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package backend_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
)

// listen returns an address that takes connections, and one that refuses them.
func listen(t *testing.T) (open, closed string) {
	t.Helper()
	for _, addr := range []*string{&open, &closed} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		if *addr = l.Addr().String(); addr == &closed {
			_ = l.Close()
		}
	}
	return open, closed
}

func TestDialProbe(t *testing.T) {
	t.Parallel()
	open, closed := listen(t)
	if err := backend.DialProbe(nil, nil)(t.Context(), open); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	if err := backend.DialProbe(nil, nil)(t.Context(), closed); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("got %v, want %v", err, syscall.ECONNREFUSED)
	}
}

// healthPage serves at 127.0.0.1 and returns the URL for brokers there.
func healthPage(t *testing.T, page http.HandlerFunc) backend.HealthURL {
	t.Helper()
	server := httptest.NewServer(page)
	t.Cleanup(server.Close)
	return backend.HealthURL(strings.Replace(server.URL, "127.0.0.1", "{host}", 1) + "/health/listeners")
}

func TestHealthURL(t *testing.T) {
	t.Parallel()
	open, closed := listen(t)
	for name, test := range map[string]struct {
		addr string
		page http.HandlerFunc
		want string // what the error has in it; "" = no error
	}{
		"well":   {open, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"status":"OK"}`)) }, ""},
		"unwell": {open, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "status 503"},
		"elsewhere": {open, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health/listeners" {
				http.Redirect(w, r, "/well", http.StatusFound)
			}
		}, "status 302"},
		"refuses": {closed, func(http.ResponseWriter, *http.Request) {}, "connection refused"},
		"cut off": {open, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := healthPage(t, test.page).Probe(backend.DialProbe(nil, nil), nil)(t.Context(), test.addr)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v, want nil", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestHealthURLThatHangs(t *testing.T) {
	t.Parallel()
	open, _ := listen(t)
	hang := make(chan struct{})
	probe := healthPage(t, func(http.ResponseWriter, *http.Request) { <-hang }).Probe(backend.DialProbe(nil, nil), nil)
	t.Cleanup(func() { close(hang) }) // before the server is closed
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := probe(ctx, open); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestHealthURLHasAPlaceForTheHost(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"http://{host}:8888/health/listeners": true,
		"https://{host}/":                     true,
		"http://checker/health?of={host}":     true,
		"http://vernemq:8888/health":          false,
		"tcp://{host}:1883":                   false,
		"{host}:8888/health":                  false,
		"http://{host}:x/":                    false,
		"http://me:hunter2@{host}:x/":         false,
		"http://{HOST}/":                      false,
	} {
		var h backend.HealthURL
		err := h.UnmarshalText([]byte(text))
		if (err == nil) != ok {
			t.Errorf("%s: got %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: a password ended up in %v", text, err)
		}
	}
}

// The password of a health URL stays out of logs.
func TestHealthURLKeepsItsPassword(t *testing.T) {
	t.Parallel()
	open, _ := listen(t)
	h := healthPage(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "hunter2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusTeapot)
	})
	err := backend.HealthURL(strings.Replace(string(h), "{host}", "me:hunter2@{host}", 1)).Probe(backend.DialProbe(nil, nil), nil)(t.Context(), open)
	if err == nil || !strings.Contains(err.Error(), "status 418") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want status 418 and no password", err)
	}
}

func TestHealthURLOfIPv6(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.NotFoundHandler()}}
	server.Start()
	t.Cleanup(server.Close)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	err = backend.HealthURL("http://{host}:"+port+"/").Probe(backend.DialProbe(nil, nil), nil)(t.Context(), l.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "status 404") {
		t.Errorf("got %v, want status 404", err)
	}
}

// TestHealthURLOverHTTPSIsVerifiedAsTheBroker: httptest's certificate is for example.com, and no CA of the system's
// has signed it.
func TestHealthURLOverHTTPSIsVerifiedAsTheBroker(t *testing.T) {
	t.Parallel()
	open, _ := listen(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	server.StartTLS()
	t.Cleanup(server.Close)
	trusting := func(name string) func(string) *tls.Config {
		pool := x509.NewCertPool()
		pool.AddCert(server.Certificate())
		return func(addr string) *tls.Config {
			if addr != open {
				t.Errorf("asked for TLS with %s, want %s", addr, open)
			}
			return &tls.Config{RootCAs: pool, ServerName: name}
		}
	}
	atBroker := backend.HealthURL(strings.Replace(server.URL, "127.0.0.1", "{host}", 1))
	elsewhere := backend.HealthURL(server.URL + "/?broker={host}")
	for name, test := range map[string]struct {
		url   backend.HealthURL
		tlsOf func(string) *tls.Config
		want  any // nil = it is content; otherwise what errors.As finds
	}{
		"the broker's CA and name":        {atBroker, trusting("example.com"), nil},
		"another name":                    {atBroker, trusting("broker.test"), new(x509.HostnameError)},
		"without TLS to the broker":       {atBroker, nil, new(x509.UnknownAuthorityError)},
		"another host has no broker's CA": {elsewhere, trusting("example.com"), new(x509.UnknownAuthorityError)},
	} {
		err := test.url.Probe(backend.DialProbe(nil, nil), test.tlsOf)(t.Context(), open)
		if good := test.want == nil && err == nil || test.want != nil && errors.As(err, test.want); !good {
			t.Errorf("%s: got %v, want %T", name, err, test.want)
		}
	}
}
