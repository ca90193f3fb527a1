// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// testPatience is how long a test waits for what has to happen on real sockets.
const testPatience = time.Minute

// A liveTrust is a proxy that goes by real trust files, in front of a broker
// that lets everybody in.
type liveTrust struct {
	*apptest.World
	t      *testing.T
	store  *truststore.Store
	addr   string
	forced chan proxy.Reason
}

// startLiveTrust starts one with these CAs in the bundle, until the test ends.
func startLiveTrust(t *testing.T, cas ...*x509.Certificate) *liveTrust {
	t.Helper()
	l := &liveTrust{World: apptest.NewWorld(t), t: t, forced: make(chan proxy.Reason, 10)}
	l.Write("ca.crt", l.bundle(cas))
	delete(l.Vars, "VERNEGATE_TLS_CRL")
	cfg := trustConfig(mustLoad(t, l.Environ()...), nil)
	cfg.CRLs = nil
	revoker := &revoker{}
	cfg.OnSwap = revoker.swapped
	store, err := truststore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.store = store
	apptest.AnswerConnects(t, l.Backend, false, "\x20\x03\x00\x00\x00")
	server := proxy.New(proxy.Config{
		Trust:    func() proxy.Trust { return trust{Generation: store.Current()} },
		Owner:    func(context.Context, proxy.Peer) (string, bool, error) { return "acme:lamp", true, nil },
		Lease:    func(string, string) proxy.Lease { return &onlyBroker{addr: l.Backend.Addr().String()} },
		OnForced: func(c proxy.SessionInfo) { l.forced <- c.Reason },
	})
	revoker.begin(t.Context(), server)
	listener := apptest.ListenLoopback(t)
	l.addr = listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- server.Serve(proxy.Listener{Listener: listener, Role: proxy.Devices}) }()
	t.Cleanup(func() {
		revoker.wait()
		if err := errors.Join(server.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return l
}

// bundle always has the CA of the server's certificate, lest it be empty.
func (l *liveTrust) bundle(cas []*x509.Certificate) []byte {
	return certtest.CertsPEM(append([]*x509.Certificate{l.Root.Cert}, cas...)...)
}

// change makes other CAs the bundle, and returns when it is in use.
func (l *liveTrust) change(cas ...*x509.Certificate) {
	l.t.Helper()
	l.Write("ca.crt", l.bundle(cas))
	if err := l.store.Reload(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

// connect begins a session of MQTT 5.0.
func (l *liveTrust) connect(config *tls.Config) *tls.Conn {
	l.t.Helper()
	conn, err := tls.Dial("tcp", l.addr, config)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(testPatience))
	if _, err := io.WriteString(conn, "\x10\x0f\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x02c1"); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len("\x20\x03\x00\x00\x00"))); err != nil {
		l.t.Fatalf("reading the CONNACK: %v", err)
	}
	return conn
}

// wantLive fails if the session of a connection ends within a moment.
func (l *liveTrust) wantLive(conn *tls.Conn) {
	l.t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("the session has ended though its certificate is trusted: %v", err)
	}
}

// onlyBroker is a lease of one broker.
type onlyBroker struct {
	addr  string
	tried bool
}

func (b *onlyBroker) Next() (string, bool) {
	first := !b.tried
	b.tried = true
	return b.addr, first
}

func (*onlyBroker) Succeeded(bool)        {}
func (*onlyBroker) Unreachable(error)     {}
func (*onlyBroker) HandshakeFailed(error) {}
func (*onlyBroker) Silent()               {}
func (*onlyBroker) Unavailable()          {}
func (*onlyBroker) HungUp(error)          {}
func (*onlyBroker) Dropped(time.Time)     {}
func (*onlyBroker) Release()              {}

// Whatever becomes of a CA while a session lives, and however the session began:
// when the last CA that leads to its certificate is gone, so is the session.
func TestNoSessionOutlivesItsCA(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	renewed := certtest.NewCA("root", certtest.Key(root.Key))
	rekeyed := certtest.NewCA("root")
	other := certtest.NewCA("other")
	crossed := other.Intermediate("root", certtest.Key(root.Key))
	plant := root.Intermediate("plant")
	type bundle = []*x509.Certificate
	for name, row := range map[string]struct {
		device         *certtest.Cert
		before, during bundle
		after          bundle // what is left of during when the CA is gone
		resumes        bool   // crypto/tls resumes after the change, as the end of the chain is trusted still
	}{
		"renewed":                {root.Issue("acme:lamp"), bundle{root.Cert}, bundle{renewed.Cert}, nil, false},
		"renewed beside the old": {root.Issue("acme:lamp"), bundle{root.Cert}, bundle{root.Cert, renewed.Cert}, nil, true},
		"re-keyed":               {root.Issue("acme:lamp"), bundle{root.Cert}, bundle{root.Cert, rekeyed.Cert}, bundle{rekeyed.Cert}, true},
		"cross-signed":           {root.Issue("acme:lamp"), bundle{root.Cert}, bundle{crossed.Cert, other.Cert}, bundle{other.Cert}, false},
		"moved to root":          {plant.Issue("acme:lamp"), bundle{plant.Cert}, bundle{root.Cert}, nil, true},
		"moved to anchor":        {plant.Issue("acme:lamp"), bundle{root.Cert}, bundle{plant.Cert}, nil, false},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, begins := range []string{"full", "resumed", "resumed after the change"} {
				t.Run(name+"/"+tls.VersionName(version)+"/"+begins, func(t *testing.T) {
					t.Parallel()
					l := startLiveTrust(t, row.before...)
					pair := row.device.TLS()
					config := &tls.Config{
						RootCAs: l.Root.Pool(), ServerName: "127.0.0.1", MinVersion: version, MaxVersion: version,
						ClientSessionCache:   tls.NewLRUClientSessionCache(1),
						GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
					}
					session := l.connect(config)
					if begins == "resumed" {
						session = l.connect(config)
					}
					l.change(row.during...)
					if begins == "resumed after the change" {
						session = l.connect(config)
					}
					if want := begins != "full" && (begins == "resumed" || row.resumes); session.ConnectionState().DidResume != want {
						t.Fatalf("resumed: %v, want %v", !want, want)
					}
					l.wantLive(session)
					l.change(row.after...)
					_ = session.SetReadDeadline(time.Now().Add(testPatience))
					if _, err := io.Copy(io.Discard, session); err != nil {
						t.Fatalf("the session lives on without its CA: %v", err)
					}
					if got := <-l.forced; got != proxy.CertRevoked {
						t.Errorf("got reason %v, want %v", got, proxy.CertRevoked)
					}
				})
			}
		}
	}
}
