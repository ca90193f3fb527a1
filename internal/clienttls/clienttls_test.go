// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package clienttls_test

import (
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/clienttls"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// sources are files with names that errors have to have.
var sources = clienttls.Sources{CAs: []string{"one.crt", "two.crt"}, Cert: "gate.crt", Key: "gate.key"}

func TestReadTakesWhatIsThere(t *testing.T) {
	t.Parallel()
	one, two := certtest.NewCA("one"), certtest.NewCA("two")
	gate := one.Intermediate("issuing").Issue("gate")
	c, err := sources.Read([][]byte{append([]byte("\xef\xbb\xbf# a comment\n"), one.PEM()...), two.PEM(), gate.CertPEM(), gate.KeyPEM()})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.CAs) != 2 || !c.Pair.Leaf.Equal(gate.Leaf) || len(c.Pair.Certificate) != 2 {
		t.Errorf("got %d CAs and %d certificates of %v", len(c.CAs), len(c.Pair.Certificate), c.Pair.Leaf.Subject)
	}
	if c.Config().MinVersion != tls.VersionTLS12 || c.Config().InsecureSkipVerify {
		t.Error("the configuration is not safe")
	}
}

func TestReadWithoutFilesIsTheSystem(t *testing.T) {
	t.Parallel()
	c, err := clienttls.Sources{}.Read(nil)
	if err != nil || c.Config().RootCAs != nil || c.Config().GetClientCertificate != nil {
		t.Errorf("got %+v and %v", c, err)
	}
}

// Everything that is wrong is told at once, by the file that it is wrong with.
func TestReadRefuses(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("one")
	gate, other := ca.Issue("gate"), ca.Issue("other")
	long := ca.Intermediate("issuing").Issue("gate")
	for name, test := range map[string]struct {
		contents [4][]byte
		want     []string
	}{
		"a CA file with a key":   {[4][]byte{gate.KeyPEM(), ca.PEM(), gate.CertPEM(), gate.KeyPEM()}, []string{"one.crt", "expected a certificate"}},
		"no certificates":        {[4][]byte{[]byte("nothing"), []byte("nothing"), gate.CertPEM(), gate.KeyPEM()}, []string{"one.crt holds no certificate", "two.crt holds no certificate"}},
		"half of a CA":           {[4][]byte{ca.PEM(), half(ca.PEM()), gate.CertPEM(), gate.KeyPEM()}, []string{"two.crt", "does not end"}},
		"another one's key":      {[4][]byte{ca.PEM(), ca.PEM(), gate.CertPEM(), other.KeyPEM()}, []string{"gate.crt", "gate.key", "private key does not match"}},
		"half of the chain":      {[4][]byte{ca.PEM(), ca.PEM(), long.CertPEM()[:len(long.CertPEM())-40], long.KeyPEM()}, []string{"gate.crt", "does not end"}},
		"half of the key":        {[4][]byte{ca.PEM(), ca.PEM(), gate.CertPEM(), half(gate.KeyPEM())}, []string{"gate.key", "does not end"}},
		"an encrypted key":       {[4][]byte{ca.PEM(), ca.PEM(), gate.CertPEM(), bytes.ReplaceAll(gate.KeyPEM(), []byte("PRIVATE KEY"), []byte("ENCRYPTED PRIVATE KEY"))}, []string{"gate.key", "encrypted"}},
		"a CA and a key at once": {[4][]byte{[]byte("x"), ca.PEM(), gate.CertPEM(), []byte("x")}, []string{"one.crt", "gate.key"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := sources.Read(test.contents[:])
			if c != nil || err == nil {
				t.Fatal("it is taken")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

// A server at another address has tickets of its own, also if it has the same name, and new credentials begin anew.
func TestServersResumeTheirOwnSessionsAlone(t *testing.T) {
	t.Parallel()
	ca := certtest.NewCA("one")
	gate := ca.Issue("gate")
	read := func() *clienttls.Credentials {
		c, err := sources.Read([][]byte{ca.PEM(), ca.PEM(), gate.CertPEM(), gate.KeyPEM()})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	one := startServer(t, ca)
	var servers clienttls.Servers
	credentials := read()
	for _, step := range []struct {
		addr        string
		credentials *clienttls.Credentials
		want        bool
	}{{"a", credentials, false}, {"a", credentials, true}, {"b", credentials, false}, {"a", credentials, true}, {"a", read(), false}} {
		conn, err := tls.Dial("tcp", one, servers.Config(step.credentials, step.addr, "127.0.0.1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil { // the ticket comes before
			t.Fatal(err)
		}
		if got := conn.ConnectionState().DidResume; got != step.want {
			t.Errorf("server %s: resumed is %v, want %v", step.addr, got, step.want)
		}
		_ = conn.Close()
	}
	if got := servers.Config(credentials, "a", "broker.example.org").ServerName; got != "broker.example.org" {
		t.Errorf("the server's name is %q", got)
	}
}

// startServer starts a server that says one byte to whoever has a certificate of the CA.
func startServer(t *testing.T, ca *certtest.CA) (addr string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{ca.Issue("server", certtest.Server("127.0.0.1")).TLS()},
		ClientCAs:    ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func(c net.Conn) {
				_, _ = c.Write([]byte{1})
				_, _ = c.Read(make([]byte, 1))
				_ = c.Close()
			}(c)
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}
