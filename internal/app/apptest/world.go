// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package apptest has what vernegate has around it, for tests.
package apptest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// World is what vernegate has around it: trust files, a certificate-acl that
// knows no owner, and a backend that accepts connections and says nothing.
type World struct {
	Dir     string // of the files
	Root    *certtest.CA
	Backend net.Listener
	ACL     *httptest.Server
	Vars    map[string]string // the environment

	t *testing.T
}

// NewWorld returns a world in which everything is right, until the test ends.
// Its variables name the files explicitly, and free ports on loopback.
func NewWorld(t *testing.T) *World {
	t.Helper()
	root := certtest.NewCA("root")
	server := root.Issue("vernegate", certtest.Server("127.0.0.1"))
	w := &World{t: t, Dir: t.TempDir(), Root: root, Backend: ListenLoopback(t), ACL: httptest.NewServer(http.HandlerFunc(knowsNobody))}
	t.Cleanup(w.ACL.Close)
	w.Vars = map[string]string{
		"VERNEGATE_LISTEN":         "127.0.0.1:0",
		"VERNEGATE_SERVICE_LISTEN": "127.0.0.1:0",
		"VERNEGATE_ADMIN":          "127.0.0.1:0",
		"VERNEGATE_TLS_CERT":       w.Write("tls.crt", server.CertPEM()),
		"VERNEGATE_TLS_KEY":        w.Write("tls.key", server.KeyPEM()),
		"VERNEGATE_TLS_CA":         w.Write("ca.crt", root.PEM()),
		"VERNEGATE_TLS_CRL":        w.Write("ca.crl", root.CRL(certtest.CRLOptions{Number: 1})),
		"VERNEGATE_BACKENDS":       w.Backend.Addr().String(),
		"CERTIFICATE_ACL_URL":      w.ACL.URL + "/acl-entries/",
	}
	return w
}

// knowsNobody answers as certificate-acl does about a certificate without an owner.
func knowsNobody(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = fmt.Fprintf(w, `{"error":"The fingerprint %s doesn't exist."}`, path.Base(r.URL.Path))
}

// Write puts a file into the world, as if it had been there for an hour, and
// returns its path.
func (w *World) Write(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.Dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		w.t.Fatal(err)
	}
	then := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, then, then); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// Publish serves a revocation list over HTTP until the test ends, and returns its URL.
func (w *World) Publish(list []byte) string {
	w.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) }))
	w.t.Cleanup(s.Close)
	return s.URL + "/ca.crl"
}

// Environ returns Vars as os.Environ does.
func (w *World) Environ() []string {
	var environ []string
	for name, value := range w.Vars {
		environ = append(environ, name+"="+value)
	}
	return environ
}

// AnswerConnects is a broker until the test ends, which demands a PROXY header or
// does not expect one, and hangs up when that is not so. It returns what followed
// the CONNECTs that it has answered.
func AnswerConnects(t *testing.T, l net.Listener, header bool, connack string) (followed chan string) {
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

// ListenLoopback returns a listener on a free port, closed when the test ends.
func ListenLoopback(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}
