// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

const (
	// patience is the Timeout of clients that are to get an answer.
	patience = 30 * time.Second
	// impatience is the Timeout of clients that are to get none.
	impatience = 50 * time.Millisecond
)

// serve answers each request with handler until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server
}

// newClient returns a client of the server at url that closes its connections
// when the test ends, before the server waits for that.
func newClient(t *testing.T, url string) *certacl.Client {
	t.Helper()
	client := &certacl.Client{URL: url + "/acl/", Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// answering returns a handler with this answer to everything.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// wantKind asks client and wants an error of this kind, which it returns.
func wantKind(t *testing.T, client *certacl.Client, kind certacl.Kind) *certacl.LookupError {
	t.Helper()
	owner, ok, err := client.Lookup(t.Context(), pki.Fingerprint{})
	if owner != "" || ok {
		t.Errorf("got owner %.40q, %t with error %v", owner, ok, err)
	}
	lookupErr, isLookupErr := errors.AsType[*certacl.LookupError](err)
	if !isLookupErr || lookupErr.Kind != kind {
		t.Fatalf("got %v, want a LookupError of kind %s", err, kind)
	}
	return lookupErr
}

func TestLookupAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		owner  string
		ok     bool
	}{
		{"device", 200, `"admin:a1b2c3"`, "admin:a1b2c3", true},
		{"service", 200, `"v2k-bridge"`, "v2k-bridge", true},
		{"white space", 200, "\r\n \"admin:a1b2c3\"\n", "admin:a1b2c3", true},
		{"largest", 200, quotedOfSize(certacl.MaxBody), strings.Repeat("x", certacl.MaxBody-2), true},
		{"unknown", 404, notFound, "", false},
		{"nobody's", 404, strings.Replace(notFound, "doesn't exist", "is not associated with anything", 1), "", false},
		{"unknown with a detail", 404, notFound[:len(notFound)-1] + `,"detail":{}}`, "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, serve(t, answering(test.status, test.body)).URL)
			owner, ok, err := client.Lookup(t.Context(), pki.Fingerprint{})
			if owner != test.owner || ok != test.ok || err != nil {
				t.Errorf("got %.40q, %t, %v; want %.40q, %t", owner, ok, err, test.owner, test.ok)
			}
		})
	}
}

// notFoundOf is what certificate-acl says with 404.
func notFoundOf(fp pki.Fingerprint) string {
	return fmt.Sprintf(`{"error":"The fingerprint %s doesn't exist."}`, fp)
}

var notFound = notFoundOf(pki.Fingerprint{})

// Things between vernegate and certificate-acl, and wrong URLs, answer 404 too:
// that a certificate has no owner is only for certificate-acl to say.
func TestForeignNotFoundIsNoAnswer(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":            "",
		"ingress":          "default backend - 404",
		"Go":               "404 page not found\n",
		"nginx":            "<html>\r\n<head><title>404 Not Found</title></head>\r\n</html>",
		"Express":          "<!DOCTYPE html>\n<html lang=\"en\">\n<body>\n<pre>Cannot GET /acl-entries00:11</pre>\n</body>\n</html>\n",
		"Kong":             `{"message":"no Route matched with those values"}`,
		"Kubernetes":       `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`,
		"an owner":         `"admin:a1b2c3"`,
		"no object":        `["error"]`,
		"null":             "null",
		"empty error":      `{"error":""}`,
		"error is no text": `{"error":{"code":404}}`,
		"Spring":           fmt.Sprintf(`{"status":404,"error":"Not Found","path":"/acl-entries/%s"}`, pki.Fingerprint{}),
		"Fastify":          fmt.Sprintf(`{"message":"Route GET:/acl-entries/%s not found","error":"Not Found","statusCode":404}`, pki.Fingerprint{}),
		"gateway":          `{"error":"no such route"}`,
		"another":          `{"error":"The fingerprint 00:11 doesn't exist."}`,
		"half":             notFound[:20],
		"two objects":      notFound + notFound,
		"large":            `{"error":` + quotedOfSize(certacl.MaxBody) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := wantKind(t, newClient(t, serve(t, answering(http.StatusNotFound, body)).URL), certacl.KindBody)
			if err.Status != http.StatusNotFound || err.Err == nil {
				t.Errorf("got status %d, cause %v", err.Status, err.Err)
			}
		})
	}
}

func TestStatusIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{201, 204, 206, 300, 304, 400, 401, 403, 405, 410, 429, 500, 502, 503, 504} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			body := `"admin:a1b2c3"`
			if status == http.StatusNoContent || status == http.StatusNotModified {
				body = ""
			}
			client := newClient(t, serve(t, answering(status, body)).URL)
			err := wantKind(t, client, certacl.KindStatus)
			if want := fmt.Sprintf("certificate-acl answered %d", status); err.Status != status || err.Error() != want {
				t.Errorf("got %q with status %d, want %q", err, err.Status, want)
			}
		})
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var followed atomic.Int32
			target := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				followed.Add(1)
				_, _ = io.WriteString(w, `"admin:intruder"`)
			})
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target.URL+"/elsewhere", status)
			})
			err := wantKind(t, newClient(t, server.URL), certacl.KindStatus)
			if err.Status != status {
				t.Errorf("got status %d, want %d", err.Status, status)
			}
			if got := followed.Load(); got != 0 {
				t.Errorf("the target saw %d requests", got)
			}
		})
	}
}

func TestBodyIsNoAnswer(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{
		"empty":         "",
		"HTML":          "<!DOCTYPE html><title>Sign in</title>",
		"null":          "null",
		"number":        "42",
		"array":         `["admin:a1"]`,
		"object":        `{"owner":"admin:a1"}`,
		"two values":    `"admin:a1" "admin:a2"`,
		"garbage":       `"admin:a1"}`,
		"invalid UTF-8": "\"admin:\xff\"",
		"surrogate":     `"admin:\ud800"`,
		"large":         quotedOfSize(certacl.MaxBody + 1),
		"endless space": `"admin:a1"` + strings.Repeat(" ", certacl.MaxBody),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := wantKind(t, newClient(t, serve(t, answering(200, body)).URL), certacl.KindBody)
			if err.Status != http.StatusOK || err.Err == nil {
				t.Errorf("got status %d, cause %v", err.Status, err.Err)
			}
			if strings.Contains(err.Error(), "admin") || strings.Contains(err.Error(), "Sign in") {
				t.Errorf("the message repeats the body: %s", err)
			}
		})
	}
}

func TestContentTypeDoesNotMatter(t *testing.T) {
	t.Parallel()
	client := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `"admin:a1"`)
	}).URL)
	if owner, ok, err := client.Lookup(t.Context(), pki.Fingerprint{}); owner != "admin:a1" || !ok || err != nil {
		t.Errorf("got %q, %t, %v", owner, ok, err)
	}
}

// talk accepts connections until the test ends and lets each be served by f,
// below HTTP. It returns the URL.
func talk(t *testing.T, f func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				f(conn)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		conns.Wait()
	})
	return "http://" + listener.Addr().String()
}

// readHead reads one request from conn and returns its lines.
func readHead(conn net.Conn) []string {
	var lines []string
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() && scanner.Text() != "" {
		lines = append(lines, scanner.Text())
	}
	return lines
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	fp := pki.FingerprintOf(&x509.Certificate{Raw: []byte("abc")})
	for prefix, target := range map[string]string{
		"/internal/api/v1/acl-entries/": "/internal/api/v1/acl-entries/" + fp.String(),
		"/":                             "/" + fp.String(),
		"/acl-entries-of-":              "/acl-entries-of-" + fp.String(),
		"/a%2Fb/%7Ec/":                  "/a%2Fb/%7Ec/" + fp.String(),
		"/acl?of=":                      "/acl?of=" + fp.String(),
	} {
		t.Run(prefix, func(t *testing.T) {
			t.Parallel()
			head := make(chan []string, 1)
			url := talk(t, func(conn net.Conn) {
				head <- readHead(conn)
				body := notFoundOf(fp)
				_, _ = io.WriteString(conn, fmt.Sprintf("HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
			})
			client := newClient(t, "")
			client.URL = url + prefix
			if owner, ok, err := client.Lookup(t.Context(), fp); owner != "" || ok || err != nil {
				t.Errorf("got %q, %t, %v", owner, ok, err)
			}
			got := <-head
			if want := "GET " + target + " HTTP/1.1"; got[0] != want {
				t.Errorf("got  %s\nwant %s", got[0], want)
			}
			for _, line := range got {
				if strings.HasPrefix(line, "Accept-Encoding:") || strings.HasPrefix(line, "Connection:") {
					t.Errorf("unexpected %s", line)
				}
			}
		})
	}
}

func TestBrokenAnswerIsNoAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nothing":          "",
		"half a head":      "HTTP/1.1 200 OK\r\nContent-Le",
		"half a body":      "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n\"admin:a",
		"half a chunk":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n\"adm",
		"another protocol": "SSH-2.0-OpenSSH_9.2\r\n\r\n",
		"a wrong header":   "HTTP/1.1 200 OK\r\nno\x1b[31m colon\r\n\r\n",
		"a long wrong one": "HTTP/1.1 200 OK\r\n" + strings.Repeat("no colon ", 1000) + "\r\n\r\n",
		"a long header":    "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*certacl.MaxBody) + "\r\n\r\n",
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, talk(t, func(conn net.Conn) {
				readHead(conn)
				_, _ = io.WriteString(conn, answer)
			}))
			message := wantKind(t, client, certacl.KindConnection).Error()
			if len(message) > 600 || strings.ContainsAny(message, "\x1b\r\n") {
				t.Errorf("not one bounded line: %q", message)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	_ = listener.Close()
	got := wantKind(t, newClient(t, url), certacl.KindConnection)
	if !strings.Contains(got.Error(), listener.Addr().String()) || strings.Contains(got.Error(), "/acl/") {
		t.Errorf("%q does not name the address alone", got)
	}
}

func TestURLThatIsNone(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"certificate-acl:3000/", "ftp://certificate-acl/", "http://user:secret@%zz/", "/acl/", "http:///acl/"} {
		client := &certacl.Client{URL: url, Timeout: patience}
		if err := wantKind(t, client, certacl.KindConnection); strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the message tells a secret: %s", url, err)
		}
	}
}

func TestSlowAnswerIsNoAnswer(t *testing.T) {
	t.Parallel()
	tests := map[string]http.HandlerFunc{
		"silence": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drip": func(w http.ResponseWriter, r *http.Request) {
			drip := time.NewTicker(impatience / 10)
			defer drip.Stop()
			for _, err := io.WriteString(w, `"`); err == nil; _, err = io.WriteString(w, "x") {
				_ = http.NewResponseController(w).Flush()
				select {
				case <-drip.C:
				case <-r.Context().Done():
					return
				}
			}
		},
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, serve(t, handler).URL)
			client.Timeout = impatience
			if err := wantKind(t, client, certacl.KindTimeout); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want it to wrap %v", err, context.DeadlineExceeded)
			}
		})
	}
}

// Whose 404 it is stands in the body.
func TestSlowBodyOfNoOwner(t *testing.T) {
	t.Parallel()
	client := newClient(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}).URL)
	client.Timeout = impatience
	wantKind(t, client, certacl.KindTimeout)
}

func TestCallerCancels(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{"plainly": nil, "with a cause": errors.New("session ended")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			client := newClient(t, serve(t, func(_ http.ResponseWriter, r *http.Request) {
				cancel(cause)
				<-r.Context().Done()
			}).URL)
			_, ok, err := client.Lookup(ctx, pki.Fingerprint{})
			lookupErr, _ := errors.AsType[*certacl.LookupError](err)
			if ok || lookupErr == nil || lookupErr.Kind != certacl.KindCanceled {
				t.Errorf("got %t, %v; want a LookupError of kind %s", ok, err, certacl.KindCanceled)
			}
		})
	}
}

func TestCallersDeadline(t *testing.T) {
	t.Parallel()
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for name, cause := range map[string]error{"plainly": nil, "with a cause": errors.New("session is late")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeoutCause(t.Context(), impatience, cause)
			defer cancel()
			_, ok, err := newClient(t, serve(t, silent).URL).Lookup(ctx, pki.Fingerprint{})
			lookupErr, _ := errors.AsType[*certacl.LookupError](err)
			if ok || lookupErr == nil || lookupErr.Kind != certacl.KindTimeout {
				t.Errorf("got %t, %v; want a LookupError of kind %s", ok, err, certacl.KindTimeout)
			}
		})
	}
}

func TestConnectionIsKept(t *testing.T) {
	t.Parallel()
	answers := []http.HandlerFunc{
		answering(200, `"admin:a1"`),
		answering(404, notFound),
		answering(404, "<html>"),
		answering(500, `{"error":"`+strings.Repeat("x", 10_000)+`"}`),
		answering(302, "Found"),
		answering(200, "<html>"),
		answering(200, quotedOfSize(certacl.MaxBody)),
	}
	var requests, connections atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers[int(requests.Add(1)-1)%len(answers)](w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)

	client := newClient(t, server.URL)
	for range 3 * len(answers) {
		_, _, _ = client.Lookup(t.Context(), pki.Fingerprint{})
	}
	if got := requests.Load(); int(got) != 3*len(answers) {
		t.Errorf("got %d requests, want %d", got, 3*len(answers))
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("got %d connections, want 1", got)
	}
}

func TestCloseIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(answering(200, `"admin:a1"`))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)

	client := newClient(t, server.URL)
	for range 2 { // it may be used again
		if _, ok, err := client.Lookup(t.Context(), pki.Fingerprint{}); !ok || err != nil {
			t.Errorf("got %t, %v", ok, err)
		}
		client.CloseIdleConnections()
		select {
		case <-closed:
		case <-time.After(certacl.IdleTimeout / 2):
			t.Fatal("the connection is still open")
		}
	}
}

// A burst as wide as the one before needs no new connection, unless net/http had no time to put one of them back.
func TestBurstKeepsItsConnections(t *testing.T) {
	t.Parallel()
	const width = 16
	var connections atomic.Int32
	together := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-together
		_, _ = io.WriteString(w, `"admin:a1"`)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew && connections.Add(1) == width {
			close(together)
		}
	}
	server.Start()
	t.Cleanup(server.Close)

	client := newClient(t, server.URL)
	client.MaxInFlight = width
	burst := func() {
		var callers sync.WaitGroup
		for n := range width {
			callers.Go(func() {
				if _, ok, err := client.Lookup(t.Context(), numbered(n)); !ok || err != nil {
					t.Errorf("got %t, %v", ok, err)
				}
			})
		}
		callers.Wait()
	}
	burst()
	for range 10 {
		before := connections.Load()
		if burst(); connections.Load() == before {
			return
		}
	}
	t.Errorf("got %d connections for 11 bursts, want %d or a few more", connections.Load(), width)
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	t.Parallel()
	const slots, callers = 4, 20
	var now, most atomic.Int32
	arrived, release := make(chan struct{}, callers), make(chan struct{})
	client := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
		}
		arrived <- struct{}{}
		<-release
		now.Add(-1)
		_, _ = io.WriteString(w, `"admin:a1"`)
	}).URL)
	client.MaxInFlight = slots

	var waiting sync.WaitGroup
	for n := range callers {
		waiting.Go(func() {
			if _, ok, err := client.Lookup(t.Context(), numbered(n)); !ok || err != nil {
				t.Errorf("got %t, %v", ok, err)
			}
		})
	}
	for range slots {
		<-arrived
	}
	ctx, cancel := context.WithTimeout(t.Context(), impatience)
	defer cancel()
	_, _, err := client.Lookup(ctx, pki.Fingerprint{})
	if busy, _ := errors.AsType[*certacl.LookupError](err); busy == nil || busy.Kind != certacl.KindBusy {
		t.Errorf("got %v, want a LookupError of kind %s", err, certacl.KindBusy)
	}
	close(release)
	waiting.Wait()
	if got := most.Load(); got != slots {
		t.Errorf("the server saw %d requests at once, want %d", got, slots)
	}
}

// Where more is asked than can be answered, requests would begin with no time left, and none would get its answer.
func TestWaitingForASlotTakesNoTimeOfTheRequest(t *testing.T) {
	t.Parallel()
	const answerTakes = 1500 * time.Millisecond
	client := newClient(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(answerTakes)
		_, _ = io.WriteString(w, `"admin:a1"`)
	}).URL)
	client.MaxInFlight, client.Timeout = 1, answerTakes*9/5
	var waiting sync.WaitGroup
	for n := range 2 {
		waiting.Go(func() {
			if _, ok, err := client.Lookup(t.Context(), numbered(n)); !ok || err != nil {
				t.Errorf("got %t, %v", ok, err)
			}
		})
	}
	waiting.Wait()
}

// net/http goes on dialing for a request that has given up.
func TestConnectionsThatCannotBeMadeAreBounded(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	var accepted atomic.Int32
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	client := newClient(t, "https://"+silent.Addr().String())
	client.MaxInFlight = 2
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, _, err := client.Lookup(ctx, pki.Fingerprint{})
		cancel()
		if err == nil {
			t.Error("a server that says nothing has answered")
		}
	}
	if n := accepted.Load(); n > 2 {
		t.Errorf("%d connections, want 2 at most", n)
	}
}

func TestWaitingForASlotIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := &certacl.Client{}
		certacl.TakeAllSlots(client)
		start := time.Now()
		err := wantKind(t, client, certacl.KindBusy)
		if got := time.Since(start); got != certacl.DefaultTimeout {
			t.Errorf("took %v, want %v", got, certacl.DefaultTimeout)
		}
		if want := "certificate-acl was asked too much at a time: 64 requests in flight: context deadline exceeded"; err.Error() != want {
			t.Errorf("got %q, want %q", err, want)
		}
	})
}

func TestCallerCancelsWaitingForASlot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client := &certacl.Client{}
		certacl.TakeAllSlots(client)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, ok, err := client.Lookup(ctx, pki.Fingerprint{})
		canceled, _ := errors.AsType[*certacl.LookupError](err)
		if ok || canceled == nil || canceled.Kind != certacl.KindCanceled || !errors.Is(err, context.Canceled) {
			t.Errorf("got %t, %v; want a LookupError of kind %s", ok, err, certacl.KindCanceled)
		}
	})
}

func TestHTTPS(t *testing.T) {
	t.Parallel()
	server := httptest.NewUnstartedServer(answering(200, `"admin:a1"`))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the refused handshake
	server.StartTLS()
	t.Cleanup(server.Close)

	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client := newClient(t, server.URL)
	config := &tls.Config{RootCAs: roots}
	client.TLS = func() *tls.Config { return config }
	if owner, ok, err := client.Lookup(t.Context(), pki.Fingerprint{}); owner != "admin:a1" || !ok || err != nil {
		t.Errorf("got %q, %t, %v", owner, ok, err)
	}

	wantKind(t, newClient(t, server.URL), certacl.KindConnection) // roots of the system
}

// A new configuration counts for the next Lookup, although a connection of the one before is there.
func TestTLSIsReloaded(t *testing.T) {
	t.Parallel()
	pki1, pki2 := certtest.NewCA("one"), certtest.NewCA("two")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "%q", r.TLS.PeerCertificates[0].Issuer.CommonName)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	clients := pki1.Pool()
	clients.AddCert(pki2.Cert)
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{pki1.Issue("acl", certtest.Server("127.0.0.1")).TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}
	server.StartTLS()
	t.Cleanup(server.Close)

	var current atomic.Pointer[tls.Config]
	client := newClient(t, server.URL)
	client.TLS = current.Load
	for _, step := range []struct {
		roots, pair *certtest.CA
		owner       string
	}{{pki1, pki1, "one"}, {pki1, pki2, "two"}, {pki1, pki1, "one"}} {
		current.Store(&tls.Config{RootCAs: step.roots.Pool(), Certificates: []tls.Certificate{step.pair.Issue("gate").TLS()}})
		for range 2 {
			if owner, ok, err := client.Lookup(t.Context(), pki.Fingerprint{}); owner != step.owner || !ok || err != nil {
				t.Errorf("got %q, %t, %v, want %q", owner, ok, err, step.owner)
			}
		}
	}
	current.Store(&tls.Config{RootCAs: pki2.Pool()})
	wantKind(t, client, certacl.KindConnection)
}

func TestTokenIsSentAndReloaded(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		_, _ = io.WriteString(w, `"admin:a1"`)
	})
	token := ""
	client := newClient(t, server.URL)
	client.Token = func() string { return token }
	for _, step := range []struct{ token, want string }{{"", ""}, {"one", "Bearer one"}, {"two", "Bearer two"}} {
		token = step.token
		if _, _, err := client.Lookup(t.Context(), pki.Fingerprint{}); err != nil {
			t.Fatal(err)
		}
		if got := <-asked; got != step.want {
			t.Errorf("the server saw %q, want %q", got, step.want)
		}
	}
}

// Wherever the server sends us: the token stays with it, and is in no error.
func TestTokenGoesNowhereElse(t *testing.T) {
	t.Parallel()
	var elsewhere atomic.Int32
	other := serve(t, func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	})
	client := newClient(t, server.URL)
	client.Token = func() string { return "hunter2hunter2" }
	if err := wantKind(t, client, certacl.KindStatus); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error has the token: %v", err)
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("the other server saw %d requests", n)
	}
	server.Close()
	if err := wantKind(t, client, certacl.KindConnection); strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error has the token: %v", err)
	}
}

func TestParseToken(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"abc":                   "abc",
		" a.b-c_d~e+f/g== \r\n": "a.b-c_d~e+f/g==",
	} {
		if got, err := certacl.ParseToken([]byte(content)); got != want || err != nil {
			t.Errorf("%q: got %q and %v", content, got, err)
		}
	}
	for _, content := range []string{"", "\n", "two words", "a\nb", "Bearer abc", "a=b", "\x00"} {
		got, err := certacl.ParseToken([]byte(content))
		if got != "" || err == nil {
			t.Errorf("%q: got %q", content, got)
		}
		if content != "" && err != nil && len(content) > 2 && strings.Contains(err.Error(), content) {
			t.Errorf("%q: the error quotes it: %v", content, err)
		}
	}
}

// Not parallel, as it sets the environment. The host is of a network for
// documentation, RFC 5737, because loopback is never asked for via a proxy.
func TestProxyOfTheEnvironmentIsNotUsed(t *testing.T) {
	var asked atomic.Int32
	proxy := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = io.WriteString(w, `"admin:intruder"`)
	})
	t.Setenv("HTTP_PROXY", proxy.URL)
	client := newClient(t, "http://192.0.2.1")
	client.Timeout = 10 * impatience
	if _, ok, err := client.Lookup(t.Context(), pki.Fingerprint{}); ok || err == nil {
		t.Errorf("got %t, %v; want an error", ok, err)
	}
	if got := asked.Load(); got != 0 {
		t.Errorf("the proxy saw %d requests", got)
	}
}

// What a request costs us and a server on the same machine.
func BenchmarkLookup(b *testing.B) {
	server := httptest.NewServer(answering(200, `"admin:a1b2c3"`))
	defer server.Close()
	client := &certacl.Client{URL: server.URL + "/", Timeout: patience}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := client.Lookup(b.Context(), pki.Fingerprint{}); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
