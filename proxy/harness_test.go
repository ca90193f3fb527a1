// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/proxy/listen"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// patience is how long a test waits for what has to happen on real sockets, on a machine that is busy with other things.
const patience = time.Minute

// testPKI is what most tests need, made once: keys are slow. It is valid at the time in a synctest bubble, too.
var testPKI = sync.OnceValue(func() (p struct {
	ca             *certtest.CA
	server, device *certtest.Cert
}) {
	always := []certtest.Option{
		certtest.NotBefore(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)),
		certtest.NotAfter(time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)),
	}
	p.ca = certtest.NewCA("devices", always...)
	p.server = p.ca.Issue("localhost", append(always, certtest.Server("localhost", "127.0.0.1"))...)
	p.device = p.ca.Issue("admin:dev1", always...)
	return p
})

// A trust is a proxy.Trust of one CA that revokes certificates by serial number.
type trust struct {
	certs   []tls.Certificate
	pool    *x509.CertPool
	revoked []*x509.Certificate
	err     error // what Verify says when it is content otherwise

	nameless bool // clients are not told the names of CAs
}

func newTrust(revoked ...*x509.Certificate) *trust {
	return &trust{certs: []tls.Certificate{testPKI().server.TLS()}, pool: testPKI().ca.Pool(), revoked: revoked}
}

func (t *trust) ServerCertificates() []tls.Certificate { return t.certs }
func (t *trust) ClientCAs() *x509.CertPool             { return t.pool }
func (t *trust) NamesCAs() bool                        { return !t.nameless }

func (t *trust) Verify(peer []*x509.Certificate, _ [][]*x509.Certificate) ([]*x509.Certificate, error) {
	opts := x509.VerifyOptions{
		Roots:         t.pool,
		Intermediates: x509.NewCertPool(),
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, cert := range peer[1:] {
		opts.Intermediates.AddCert(cert)
	}
	chains, err := peer[0].Verify(opts)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(t.revoked, peer[0].Equal) {
		return nil, pki.ErrRevoked
	}
	return chains[0], t.err
}

// owned answers every certificate with the same owner.
func owned(owner string) proxy.OwnerFunc {
	return func(context.Context, proxy.Peer) (string, bool, error) { return owner, true, nil }
}

// A gate is a running proxy.Server with what it logs and counts.
type gate struct {
	*proxy.Server
	t       testing.TB
	l       net.Listener
	addr    string
	trust   atomic.Pointer[trust]
	logs    *logs
	metrics *prometheus.Registry
	served  chan error
}

// startGate runs a server for devices on loopback until the test ends.
func startGate(t testing.TB, change func(*proxy.Config)) *gate {
	t.Helper()
	return startGateFor(t, proxy.Devices, change)
}

func startGateFor(t testing.TB, role proxy.Role, change func(*proxy.Config)) *gate {
	t.Helper()
	l, err := listen.TCP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveGate(t, l, role, change)
}

func serveGate(t testing.TB, l net.Listener, role proxy.Role, change func(*proxy.Config)) *gate {
	t.Helper()
	return serveListener(t, proxy.Listener{Listener: l, Role: role}, change)
}

func serveListener(t testing.TB, l proxy.Listener, change func(*proxy.Config)) *gate {
	t.Helper()
	g := &gate{t: t, l: l, addr: l.Addr().String(), logs: &logs{}, metrics: prometheus.NewRegistry(), served: make(chan error, 1)}
	g.trust.Store(newTrust())
	cfg := proxy.Config{
		Trust:   func() proxy.Trust { return g.trust.Load() },
		Owner:   owned("admin:dev1"),
		Lease:   newTurns().lease,
		Metrics: proxy.NewMetrics(g.metrics),
		Logger:  slog.New(slog.NewJSONHandler(g.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	g.Server = proxy.New(cfg)
	go func() { g.served <- g.Serve(l) }()
	t.Cleanup(g.stop)
	return g
}

func (g *gate) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := g.Shutdown(ctx); err != nil {
		g.t.Errorf("shutting down: %v", err)
	}
	if err := <-g.served; err != nil {
		g.t.Errorf("serving: %v", err)
	}
}

// wantEnd waits for the one line about an ended connection and checks its reason, and that it was counted.
func (g *gate) wantEnd(reason proxy.Reason) map[string]any {
	g.t.Helper()
	line := g.logs.await(g.t, func(l map[string]any) bool { return l["msg"] == "connection ended" })
	if line["reason"] != reason.String() {
		g.t.Errorf("got reason %v, want %v; line: %v", line["reason"], reason, line)
	}
	if line["level"] != reason.Level().String() && line["err"] != "closed before the first byte" {
		g.t.Errorf("got level %v, want %v", line["level"], reason.Level())
	}
	want := map[string]string{"listener": line["listener"].(string), "reason": reason.String()}
	if got := counter(g.t, g.metrics, "vernegate_connections_ended_total", want); got != 1 {
		g.t.Errorf("got %v connections counted as %v, want 1", got, reason)
	}
	return line
}

// counter reads one series of a registry.
func counter(t testing.TB, r *prometheus.Registry, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			match := 0
			for _, l := range m.GetLabel() {
				if labels[l.GetName()] == l.GetValue() {
					match++
				}
			}
			if f.GetName() == name && match == len(labels) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s%v", name, labels)
	return 0
}

// logs collects JSON lines.
type logs struct {
	mu    sync.Mutex
	lines []map[string]any
	raw   bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := map[string]any{}
	if err := json.Unmarshal(p, &line); err != nil {
		return 0, err
	}
	l.lines = append(l.lines, line)
	return l.raw.Write(p)
}

func (l *logs) find(match func(map[string]any) bool) map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.IndexFunc(l.lines, match); i >= 0 {
		return l.lines[i]
	}
	return nil
}

func (l *logs) await(t testing.TB, match func(map[string]any) bool) map[string]any {
	t.Helper()
	var line map[string]any
	await(t, "a log line", func() bool { line = l.find(match); return line != nil })
	return line
}

// await polls until ok; there is no event to wait for, only a deadline.
func await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// dial shakes hands with the gate as cert's device.
func (g *gate) dial(cert *certtest.Cert) *tls.Conn {
	g.t.Helper()
	c, err := tls.Dial("tcp", g.addr, clientConfig(cert))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		g.t.Fatal(err)
	}
	return c
}

// wantDetail is wantEnd that also looks at what the line says has happened.
func (g *gate) wantDetail(reason proxy.Reason, want string) {
	g.t.Helper()
	if got := g.wantEnd(reason)["err"]; got != want {
		g.t.Errorf("got the error %q, want %q", got, want)
	}
}

// clientConfig is for a device with cert, or for one without a certificate. Like OpenSSL's clients, and unlike
// Go's by default, it sends the certificate even when the server names no CA that fits.
func clientConfig(cert *certtest.Cert) *tls.Config {
	config := &tls.Config{RootCAs: testPKI().ca.Pool(), ServerName: "localhost"}
	if cert != nil {
		pair := cert.TLS()
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return config
}

// device connects the usual device and sends it on its way with first.
func (g *gate) device(first []byte) *tls.Conn {
	g.t.Helper()
	c := g.dial(testPKI().device)
	write(g.t, c, first)
	return c
}

func write(t testing.TB, w io.Writer, b []byte) {
	t.Helper()
	if _, err := w.Write(b); err != nil {
		t.Fatalf("writing: %v", err)
	}
}

// wantBytes reads exactly want.
func wantBytes(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil {
		t.Fatalf("got % x and %v, want % x", got[:n], err, want)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got % x, want % x", got, want)
	}
}

// wantEOF wants an orderly end of the stream and nothing before it.
func wantEOF(t testing.TB, r io.Reader) {
	t.Helper()
	rest, err := io.ReadAll(r)
	if err != nil || len(rest) > 0 {
		t.Fatalf("got % x and %v, want the end of the stream", rest, err)
	}
}

// A broker is a listener whose connections the test plays itself.
type broker struct {
	t     testing.TB
	l     net.Listener
	conns chan net.Conn
	count atomic.Int32
}

func startBroker(t testing.TB) *broker {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{t: t, l: l, conns: make(chan net.Conn, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.count.Add(1)
			b.conns <- c
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
		close(b.conns)
		for c := range b.conns {
			_ = c.Close()
		}
	})
	return b
}

func (b *broker) addr() string { return b.l.Addr().String() }

// accept is the next connection from the gate.
func (b *broker) accept() net.Conn {
	b.t.Helper()
	select {
	case c := <-b.conns:
		b.t.Cleanup(func() { _ = c.Close() })
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			b.t.Fatal(err)
		}
		return c
	case <-time.After(patience):
		b.t.Fatal("no connection to the broker")
		return nil
	}
}

// greet accepts a connection, wants connect on it, and answers with reply.
func (b *broker) greet(connect, reply []byte) net.Conn {
	b.t.Helper()
	c := b.accept()
	wantBytes(b.t, c, connect)
	write(b.t, c, reply)
	return c
}

// brokers makes a change of the configuration out of brokers, which take turns.
func brokers(all ...*broker) func(*proxy.Config) {
	var addrs []string
	for _, b := range all {
		addrs = append(addrs, b.addr())
	}
	return func(c *proxy.Config) { c.Lease = newTurns(addrs...).lease }
}

// Packets as they look on the wire. The usernames in them are what the gate has to make of the others.
var (
	connect31       = []byte("\x10\x10\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x02c1")
	connect311      = []byte("\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02c1")
	connect311Owned = []byte("\x10\x1a\x00\x04MQTT\x04\x82\x00\x3c\x00\x02c1\x00\x0aadmin:dev1")
	connect5        = []byte("\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02c1")
	connect5Owned   = []byte("\x10\x1b\x00\x04MQTT\x05\x82\x00\x3c\x00\x00\x02c1\x00\x0aadmin:dev1")
	connack311      = []byte("\x20\x02\x00\x00")
	connack5        = []byte("\x20\x03\x00\x00\x00")
	pingreq         = []byte("\xc0\x00")
	pingresp        = []byte("\xd0\x00")
	disconnect      = []byte("\xe0\x00")
)

// session establishes a 3.1.1 session and returns both of its ends.
func session(g *gate, b *broker) (client *tls.Conn, backend net.Conn) {
	g.t.Helper()
	client = g.device(connect311)
	backend = b.greet(connect311Owned, connack311)
	wantBytes(g.t, client, connack311)
	return client, backend
}

// session5 establishes a 5.0 session of cert and returns both of its ends.
func session5(g *gate, b *broker, cert *certtest.Cert) (client *tls.Conn, backend net.Conn) {
	g.t.Helper()
	client = g.dial(cert)
	write(g.t, client, connect5)
	backend = b.greet(connect5Owned, connack5)
	wantBytes(g.t, client, connack5)
	return client, backend
}

// alert is the text of the alert that a peer sent, "" if the error is none.
func alert(err error) string {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "remote error" {
		return op.Err.Error()
	}
	return ""
}
