// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// Responder is an OCSP responder of a CA over real HTTP. It says of every certificate that
// it is good, for an hour, unless told otherwise. It is safe for concurrent use.
type Responder struct {
	URL   string
	Host  string // with its port
	Asked atomic.Int64

	ca      *certtest.CA
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]

	mu      sync.Mutex
	revoked map[string]bool // by serial number
}

// StartResponder starts a responder. The caller closes it.
func StartResponder(ca *certtest.CA) *Responder {
	r := &Responder{ca: ca, revoked: map[string]bool{}}
	r.Behave(nil)
	r.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.Asked.Add(1)
		(*r.handler.Load()).ServeHTTP(w, req)
	}))
	r.URL, r.Host = r.server.URL, r.server.Listener.Addr().String()
	return r
}

// Close ends the responder.
func (r *Responder) Close() { r.server.CloseClientConnections(); r.server.Close() }

// Revoke has the responder say that a certificate is revoked.
func (r *Responder) Revoke(cert *certtest.Cert) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[cert.Leaf.SerialNumber.String()] = true
}

// Behave has another handler answer from now on; nil is the responder's own.
func (r *Responder) Behave(h http.Handler) {
	if h == nil {
		h = certtest.OCSPFunc(func(serial *big.Int) []byte { return r.ca.OCSP(certtest.OCSPOptions{}, r.Answer(serial)) })
	}
	r.handler.Store(&h)
}

// Answer is what the responder knows.
func (r *Responder) Answer(serial *big.Int) certtest.OCSPAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := certtest.OCSPAnswer{Serial: serial}
	if r.revoked[serial.String()] {
		a.Status, a.Reason = certtest.OCSPRevoked, 1 // keyCompromise
	}
	return a
}

// OpenSSLResponder is "openssl ocsp", as Debian has it, with an index of certificates as
// "openssl ca" keeps one.
type OpenSSLResponder struct {
	*Process
	URL   string
	index string
}

// StartOpenSSLResponder starts one that signs with the key of a delegated responder, and knows
// the certificates. The caller stops it.
func StartOpenSSLResponder(ctx context.Context, dir string, ca *certtest.CA, certs ...*certtest.Cert) (*OpenSSLResponder, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	signer := ca.Issue("responder", certtest.OCSPSigning(false))
	r := &OpenSSLResponder{URL: "http://" + addr, index: filepath.Join(dir, "index.txt")}
	if err := r.List(nil, certs...); err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{"ca.crt": ca.PEM(), "responder.crt": certtest.CertsPEM(signer.Leaf), "responder.key": signer.KeyPEM()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("openssl", "ocsp", "-port", port, "-index", "index.txt", "-CA", "ca.crt", "-rsigner", "responder.crt", "-rkey", "responder.key", "-nmin", "60", "-text")
	cmd.Dir = dir
	if r.Process, err = start(cmd); err != nil {
		return nil, err
	}
	// It hangs for ever on a connection that says nothing, so it is not tried whether it listens.
	if _, err := r.Output.Wait(ctx, "openssl ocsp", func(line string) bool { return strings.Contains(line, "waiting for OCSP client connections") }); err != nil {
		r.Kill()
		return nil, fmt.Errorf("starting openssl ocsp: %w\n%s", err, &r.Output)
	}
	return r, nil
}

// List writes the index: the first of the certificates are revoked, as many as revoked has.
// "openssl ocsp" reads it again when it has changed.
func (r *OpenSSLResponder) List(revoked []*certtest.Cert, valid ...*certtest.Cert) error {
	const layout = "060102150405Z"
	var text string
	for _, cert := range revoked {
		text += fmt.Sprintf("R\t%s\t%s,keyCompromise\t%s\tunknown\t/CN=%[3]s\n", cert.Leaf.NotAfter.UTC().Format(layout),
			time.Now().UTC().Add(-time.Minute).Format(layout), indexSerial(cert))
	}
	for _, cert := range valid {
		text += fmt.Sprintf("V\t%s\t\t%s\tunknown\t/CN=%[2]s\n", cert.Leaf.NotAfter.UTC().Format(layout), indexSerial(cert))
	}
	next := r.index + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(next, r.index)
}

// indexSerial spells a serial number as an index does: whole bytes in upper-case hex. It is the name of its certificate there, too.
func indexSerial(cert *certtest.Cert) string {
	return fmt.Sprintf("%X", cert.Leaf.SerialNumber.Bytes())
}

// ListenDeaf returns an address where connecting gets no answer: the kernel drops what comes,
// as a firewall does. The caller calls close.
func ListenDeaf() (addr string, close func(), _ error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		return "", nil, err
	}
	close = func() { _ = syscall.Close(fd) }
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		close()
		return "", nil, err
	}
	if err := syscall.Listen(fd, 0); err != nil {
		close()
		return "", nil, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		close()
		return "", nil, err
	}
	addr = fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
	return addr, close, fillBacklog(addr)
}

// fillBacklog connects until there is no answer any more. The kernel keeps the connections
// for as long as there is the listener.
func fillBacklog(addr string) error {
	for range 10 {
		conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return nil
		}
		defer conn.Close()
	}
	return fmt.Errorf("%s still answers", addr)
}
