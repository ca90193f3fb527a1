// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// clockSkew is how far ahead of this machine's clock a CA's may be: the same
// five minutes that Kerberos allows (RFC 4120 §8.2).
const clockSkew = 5 * time.Minute

// Generation is one good set of files: server certificates, CA certificates,
// CRLs and ticket keys that belong together. It never changes, may be used by any number
// of goroutines, and what its methods return must not be modified.
type Generation struct {
	sequence uint64
	loaded   time.Time
	files    []File
	server   []tls.Certificate
	bundle   *bundle
	crls     []*crl
	rules    rules
	notices  []notice

	ticketKeys [][ticketKeySize]byte
}

// rules is how revocation is told when the CRLs leave it open.
type rules struct {
	expired, missing Policy
	grace            time.Duration
}

// notice is something about a good set that the operator should know.
type notice struct {
	message string
	attrs   []slog.Attr
}

// Sequence returns the number of the generation: 1 for the first one of a
// store and one more for each that followed.
func (g *Generation) Sequence() uint64 { return g.sequence }

// Loaded returns when the files were read.
func (g *Generation) Loaded() time.Time { return g.loaded }

// Files returns what the generation was built from, in the order of the
// configuration, without optional files that were absent.
func (g *Generation) Files() []File { return g.files }

// ServerCertificates returns the server certificates with their keys and
// Leaf set, in the order of the configuration.
func (g *Generation) ServerCertificates() []tls.Certificate { return g.server }

// ClientCAs returns the pool that clients are verified against: every CA
// certificate of the bundle, intermediates included.
func (g *Generation) ClientCAs() *x509.CertPool { return g.bundle.pool }

// CAs returns the certificates of ClientCAs.
func (g *Generation) CAs() []*x509.Certificate { return g.bundle.certs }

// CRLs returns the lists in use: the newest of each issuer and scope.
func (g *Generation) CRLs() []CRL {
	list := make([]CRL, len(g.crls))
	for i, c := range g.crls {
		list[i] = c.CRL
	}
	return list
}

// build makes a generation of one read of the files, or returns an error that
// tells everything that is wrong with them.
func build(c *Config, set *fileSet, p *pace, now time.Time) (*Generation, error) {
	g := &Generation{
		loaded: now,
		files:  set.files(),
		rules:  rules{expired: c.CRLExpired, missing: c.CRLMissing, grace: c.CRLExpiredGrace},
	}
	var serverErr, bundleErr, crlErr, ticketErr error
	g.server, serverErr = readServerCertificates(set.certs, set.keys, now)
	g.bundle, g.notices, bundleErr = readBundle(set.cas, now)
	for i := range set.crls {
		crlErr = errors.Join(crlErr, g.addCRLFile(&set.crls[i], c.CRLOptional, p))
	}
	g.ticketKeys, ticketErr = readTicketKeys(set.ticketKeys)
	if err := errors.Join(serverErr, bundleErr, crlErr, ticketErr); err != nil {
		return nil, err
	}
	g.collectCRLs()
	return g, nil
}

// addCRLFile reads one file of CRLs and gives each to its issuer.
func (g *Generation) addCRLFile(file *source, optional bool, p *pace) error {
	if file.err != nil {
		if optional && file.absent() {
			attrs := []slog.Attr{slog.String("file", file.Path)}
			g.notices = append(g.notices, notice{"CRL file is absent, nothing is revoked by it", attrs})
			return nil
		}
		return fmt.Errorf("reading CRL file: %w", file.err)
	}
	err := eachList(file, p, func(der io.Reader) error { return g.addCRL(file.Path, der, p) })
	if changed := file.unchanged(); changed != nil { // which explains what else may be wrong
		return fmt.Errorf("reading CRL file: %w", changed)
	}
	return err
}

// addCRL reads one list and checks it. When the bundle is no good, whose list
// it is cannot be told, and only the list itself is checked.
func (g *Generation) addCRL(path string, der io.Reader, p *pace) error {
	list, s, err := parseCRL(der, p)
	if err != nil {
		return err
	}
	list.Path = path
	if list.ThisUpdate.After(g.loaded.Add(clockSkew)) {
		return fmt.Errorf("it is from the future: this update is %s", list.ThisUpdate.Format(time.RFC3339))
	}
	if g.bundle == nil {
		return nil
	}
	auth, err := g.bundle.signerOf(list, s)
	if err != nil {
		return err
	}
	list.issuer = auth
	auth.add(list)
	return nil
}

// add takes a list of the authority, unless there is a newer one of its scope.
func (auth *authority) add(list *crl) {
	for i, other := range auth.crls {
		if other.scope == list.scope {
			if list.newerThan(other) {
				auth.crls[i] = list
			}
			return
		}
	}
	auth.crls = append(auth.crls, list)
}

// collectCRLs lists the CRLs of all authorities in the order of the bundle.
func (g *Generation) collectCRLs() {
	seen := make(map[*authority]bool)
	for _, cert := range g.bundle.certs {
		auth := g.bundle.authorityOf(cert)
		if !seen[auth] {
			seen[auth] = true
			g.crls = append(g.crls, auth.crls...)
		}
	}
	for _, list := range g.crls {
		if list.NextUpdate.IsZero() {
			g.notices = append(g.notices, notice{"CRL has no next update and is never overdue", list.attrs()})
		}
	}
}
