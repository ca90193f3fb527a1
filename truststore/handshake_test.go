// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore"
)

// shakeHands has a device connect, in memory, to a server that trusts as a generation says. It returns the certificate
// that the device was shown, and why the server has refused it.
func shakeHands(t testing.TB, g *truststore.Generation, device tls.Certificate, version uint16) (shown *x509.Certificate, err error) {
	t.Helper()
	serverEnd, clientEnd := truststore.MemoryPipe()
	config := &tls.Config{
		Certificates: g.ServerCertificates(),
		ClientCAs:    g.ClientCAs(),
		ClientAuth:   tls.RequireAndVerifyClientCert,
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := g.Verify(state.PeerCertificates, state.VerifiedChains, time.Now())
			return err
		},
	}
	if !g.NamesCAs() { // Verify builds the chains
		config.ClientCAs, config.ClientAuth = nil, tls.RequireAnyClientCert
	}
	server := tls.Server(serverEnd, config)
	client := tls.Client(clientEnd, &tls.Config{
		MinVersion: version, MaxVersion: version,
		InsecureSkipVerify: true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return &device, nil // whatever CAs the server names
		},
	})
	var running sync.WaitGroup
	running.Go(func() {
		defer clientEnd.Close()
		if client.Handshake() == nil {
			shown = client.ConnectionState().PeerCertificates[0]
			_, _ = io.Copy(io.Discard, client)
		}
	})
	err = server.Handshake()
	serverEnd.Close()
	running.Wait()
	return shown, err
}

// bothVersions has a device connect with TLS 1.2 and 1.3, which must end alike.
func bothVersions(t testing.TB, g *truststore.Generation, device tls.Certificate) (shown *x509.Certificate, err error) {
	t.Helper()
	shown, err = shakeHands(t, g, device, tls.VersionTLS13)
	if _, older := shakeHands(t, g, device, tls.VersionTLS12); (older == nil) != (err == nil) {
		t.Errorf("with TLS 1.2 %v, with 1.3 %v", older, err)
	}
	return shown, err
}
