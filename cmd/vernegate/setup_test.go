// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// world is what vernegate has around it: trust files, a certificate-acl that
// knows nobody, and a backend that accepts connections and says nothing.
type world struct {
	t       *testing.T
	dir     string
	root    *certtest.CA
	backend net.Listener
	acl     *httptest.Server
	vars    map[string]string

	answering sync.Once // backend begins to answer
}

// newWorld returns a world in which everything is right. Its variables name
// the files explicitly, and free ports on loopback.
func newWorld(t *testing.T) *world {
	t.Helper()
	root := certtest.NewCA("root")
	server := root.Issue("vernegate", certtest.Server("127.0.0.1"))
	w := &world{t: t, dir: t.TempDir(), root: root, backend: listenLoopback(t), acl: httptest.NewServer(http.HandlerFunc(knowsNobody))}
	t.Cleanup(w.acl.Close)
	w.vars = map[string]string{
		"VERNEGATE_LISTEN":         "127.0.0.1:0",
		"VERNEGATE_SERVICE_LISTEN": "127.0.0.1:0",
		"VERNEGATE_ADMIN":          "127.0.0.1:0",
		"VERNEGATE_TLS_CERT":       w.write("tls.crt", server.CertPEM()),
		"VERNEGATE_TLS_KEY":        w.write("tls.key", server.KeyPEM()),
		"VERNEGATE_TLS_CA":         w.write("ca.crt", root.PEM()),
		"VERNEGATE_TLS_CRL":        w.write("ca.crl", root.CRL(certtest.CRLOptions{Number: 1})),
		"VERNEGATE_BACKENDS":       w.backend.Addr().String(),
		"CERTIFICATE_ACL_URL":      w.acl.URL + "/acl-entries/",
	}
	return w
}

// knowsNobody answers as certificate-acl does about a certificate without an owner.
func knowsNobody(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, `{"error":"The fingerprint 00 doesn't exist."}`)
}

// write puts a file into the world, as if it had been there for an hour, and
// returns its path.
func (w *world) write(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, then, then); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) environ() []string {
	var environ []string
	for name, value := range w.vars {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// check runs "vernegate check" with these arguments, and a backend that accepts
// every client, and returns its exit code and report.
func (w *world) check(args ...string) (code int, report string) {
	w.answering.Do(func() { answerConnects(w.t, w.backend, false, "\x20\x02\x00\x00") })
	var out bytes.Buffer
	code = run(w.t.Context(), append([]string{"check"}, args...), w.environ(), &out, io.Discard)
	return code, out.String()
}

// answerConnects is a broker until the test ends, which demands a PROXY header or
// does not expect one, and hangs up when that is not so. It returns what followed
// the CONNECTs that it has answered.
func answerConnects(t *testing.T, l net.Listener, header bool, connack string) (followed chan string) {
	t.Helper()
	followed = make(chan string, 100)
	answer := func(conn net.Conn) {
		defer conn.Close()
		r := bufio.NewReader(conn)
		if header {
			if h, err := proxyproto.Read(r); err != nil || h.Command.IsLocal() {
				return
			}
		}
		if _, err := packets.ReadConnect(r, 1<<10); err != nil {
			return
		}
		_, _ = io.WriteString(conn, connack)
		rest, _ := io.ReadAll(r)
		followed <- string(rest)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() { answer(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return followed
}

// serve runs "vernegate serve" to its end and returns its exit code and what
// it printed.
func (w *world) serve() (code int, printed string) {
	var out bytes.Buffer
	code = run(w.t.Context(), []string{"serve"}, w.environ(), io.Discard, &out)
	return code, out.String()
}

func listenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// running is a vernegate at work in this process.
type running struct {
	t    *testing.T
	logs logLines
	stop func() int // ends it and returns its exit code; may be called again
}

// start runs vernegate until stop is called or the test ends.
func (w *world) start() *running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	logs, exit := make(logLines, 1000), make(chan int, 1)
	go func() { exit <- run(ctx, nil, w.environ(), io.Discard, logs) }()
	stop := sync.OnceValue(func() int {
		cancel()
		return <-exit
	})
	w.t.Cleanup(func() { stop() })
	return &running{t: w.t, logs: logs, stop: stop}
}

// logLine is a log line in JSON.
type logLine map[string]any

// logLines takes what a slog handler writes, a line at a time.
type logLines chan logLine

func (l logLines) Write(p []byte) (int, error) {
	var line logLine
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l <- line
	return len(p), nil
}

// await returns the next log line with this message, and drops those before it.
func (r *running) await(message string) logLine {
	r.t.Helper()
	patience := time.After(10 * time.Second)
	for {
		select {
		case line := <-r.logs:
			if line["msg"] == message {
				return line
			}
		case <-patience:
			r.t.Fatalf("waiting for %q in the log", message)
		}
	}
}
