// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
)

// trialVersions are the versions of TLS that parts are tried with before they count.
var trialVersions = [...]uint16{tls.VersionTLS12, tls.VersionTLS13}

// maxCANameBytes is the most that the names of CAs may take in a CertificateRequest, each with its length. In TLS 1.2
// their list, in TLS 1.3 all extensions together have a length of two bytes (RFC 5246 §7.4.4, RFC 8446 §4.3.2); what
// crypto/tls sends beside is far below the difference.
const maxCANameBytes = 1<<16 - 1 - 512

// tryPair has a new server pair shake hands. It has to work with every version of TLS that the last good one works
// with; the first one with any, since not every key fits the cipher suites that are configured.
func (a *attempt) tryPair(pair, last *serverPair) error {
	var failures []error
	permitted := 0
	for _, version := range trialVersions {
		tried, err := a.config.try(version, newBundle(nil), pair.Certificate)
		if tried {
			permitted++
		}
		if err == nil {
			continue
		}
		err = fmt.Errorf("certificate file %s: no handshake succeeds with it: %w", pair.path, err)
		failures = append(failures, err)
		if last != nil {
			if _, before := a.config.try(version, newBundle(nil), last.Certificate); before == nil {
				return err
			}
		}
	}
	if len(failures) == permitted {
		return errors.Join(failures...)
	}
	for _, err := range failures {
		a.notice("server certificate does not work with one version of TLS", slog.String("file", pair.path), slog.String("err", err.Error()))
	}
	return nil
}

// tryBundle has the CAs shake hands with the server pairs in use. They must not break what works without them.
func (a *attempt) tryBundle(b *bundle) error {
	var pairs []tls.Certificate
	for i := range a.next.pairs {
		if pair := a.next.pairs[i].good; pair != nil {
			pairs = append(pairs, pair.Certificate)
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	for _, version := range trialVersions {
		_, err := a.config.try(version, b, pairs...)
		if err == nil {
			continue
		}
		if _, without := a.config.try(version, newBundle(nil), pairs...); without == nil {
			return fmt.Errorf("no handshake succeeds with these %d CAs: %w", len(b.certs), err)
		}
	}
	return nil
}

// try has a server with these pairs and CAs shake hands with a client, unless the version is not permitted.
func (c *Config) try(version uint16, b *bundle, pairs ...tls.Certificate) (tried bool, err error) {
	g := &Generation{server: pairs, bundle: b, namesCAs: c.namesCAs(b)}
	config := c.serverConfig(g).Clone()
	if config.MinVersion > version || config.MaxVersion != 0 && config.MaxVersion < version {
		return false, nil
	}
	if err := shakeHands(config, version); err != nil {
		return true, fmt.Errorf("%s: %w", tls.VersionName(version), err)
	}
	return true, nil
}

// serverConfig returns the configuration that handshakes under a generation are made with.
func (c *Config) serverConfig(g *Generation) *tls.Config {
	if c.ServerConfig != nil {
		return c.ServerConfig(g)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: g.ServerCertificates()}
	if g.NamesCAs() {
		config.ClientCAs = g.ClientCAs()
	}
	return config
}

// namesCAs reports whether clients are told the names of the CAs.
func (c *Config) namesCAs(b *bundle) bool {
	return c.CANames == CANamesAll || c.CANames == CANamesAuto && b.nameBytes() <= maxCANameBytes
}

// shakeHands has a server with the configuration, which it changes, shake hands with a client, in memory. The client is
// asked for a certificate and has none: there is nothing to verify, and the CAs are looked at for their names only.
func shakeHands(config *tls.Config, version uint16) error {
	config.MinVersion, config.MaxVersion = version, version
	config.ClientAuth = tls.RequestClientCert
	config.VerifyPeerCertificate, config.VerifyConnection = nil, nil
	serverEnd, clientEnd := memoryPipe()
	server := tls.Server(serverEnd, config)
	client := tls.Client(clientEnd, &tls.Config{
		MinVersion: version, MaxVersion: version,
		CipherSuites: config.CipherSuites, CurvePreferences: config.CurvePreferences,
		InsecureSkipVerify: true, // what is in the certificate is for devices to judge
	})
	var clientErr error
	var running sync.WaitGroup
	running.Go(func() {
		defer clientEnd.Close()
		if clientErr = client.Handshake(); clientErr == nil {
			_, _ = io.Copy(io.Discard, client) // the tickets
		}
	})
	serverErr := server.Handshake()
	serverEnd.Close()
	running.Wait()
	return errors.Join(serverErr, clientErr) // the end of one is an error of the other
}

// A memoryConn is one end of a connection in memory. Unlike net.Pipe it takes what is written without waiting for the
// other end to read: a server that sends its flight and a client that sends an alert would wait for each other.
type memoryConn struct {
	net.Conn // nil: crypto/tls asks for nothing else
	in       <-chan []byte
	out      chan<- []byte
	rest     []byte
}

// memoryWrites is more than both sides of a handshake together write.
const memoryWrites = 1 << 10

func memoryPipe() (a, b net.Conn) {
	there, back := make(chan []byte, memoryWrites), make(chan []byte, memoryWrites)
	return &memoryConn{in: back, out: there}, &memoryConn{in: there, out: back}
}

// Read implements io.Reader.
func (c *memoryConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		c.rest = <-c.in
	}
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements io.Writer.
func (c *memoryConn) Write(b []byte) (int, error) {
	c.out <- bytes.Clone(b)
	return len(b), nil
}

// Close ends what the other end reads. It must be called once, and nothing must be written any more.
func (c *memoryConn) Close() error {
	close(c.out)
	return nil
}
