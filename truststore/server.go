// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// serverPair is a server certificate with its key.
type serverPair struct {
	tls.Certificate
	path    string // of the certificate
	notices []Notice
}

// lacks says what a pair does not have any more that an earlier one had, or nothing: a chain of certificates that is
// being written looks complete whenever it is cut between two of them.
func (p *serverPair) lacks(earlier *serverPair) string {
	if len(p.Certificate.Certificate) < len(earlier.Certificate.Certificate) {
		return fmt.Sprintf("an intermediate of server certificate %s", p.path)
	}
	return ""
}

// invalidity says why the certificate is not valid at a time, or returns nil.
func (p *serverPair) invalidity(now time.Time) error {
	switch {
	case now.Before(p.Leaf.NotBefore):
		return fmt.Errorf("certificate file %s: %q is not valid before %s", p.path, p.Leaf.Subject, p.Leaf.NotBefore.Format(time.RFC3339))
	case now.After(p.Leaf.NotAfter):
		return fmt.Errorf("certificate file %s: %q has expired on %s", p.path, p.Leaf.Subject, p.Leaf.NotAfter.Format(time.RFC3339))
	}
	return nil
}

// isReplacedBy reports whether another pair is valid for all names of this one.
func (p *serverPair) isReplacedBy(other *serverPair) bool {
	for _, name := range p.Leaf.DNSNames {
		if other.Leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	for _, ip := range p.Leaf.IPAddresses {
		if other.Leaf.VerifyHostname(ip.String()) != nil {
			return false
		}
	}
	return true
}

// judgePairs decides about each server pair by itself.
func (a *attempt) judgePairs() {
	for i := range a.next.pairs {
		part, certFile, keyFile := &a.next.pairs[i], &a.set.certs[i], &a.set.keys[i]
		files := []File{certFile.File, keyFile.File}
		if part.isCurrent(files) {
			continue
		}
		pair, err := readPair(certFile, keyFile)
		if err == nil && part.good != nil && part.good.invalidity(a.now) == nil {
			if err = pair.invalidity(a.now); err != nil { // the last good one is better
				a.retry(pair.Leaf.NotBefore)
			}
		}
		if err == nil {
			err = a.tryPair(pair, part.good)
		}
		if err != nil {
			part.pending = candidate{}
			a.refuse(problem{Refusal: Refusal{Kind: KindServer, File: certFile.Path, Err: err}, start: waits, none: part.good == nil})
			continue
		}
		if part.good != nil && !a.believes(&part.pending, files, pair.lacks(part.good)) {
			continue
		}
		part.take(pair, files)
	}
}

// serverCertificates returns the pairs to serve with: those that are valid now, and behind them those whose names none
// of the valid ones has. A device without a clock does not look at the date, and the others are no worse off.
func (a *attempt) serverCertificates() (list []tls.Certificate) {
	var valid, invalid []*serverPair
	for i := range a.next.pairs {
		switch pair := a.next.pairs[i].good; {
		case pair == nil:
			continue
		case pair.invalidity(a.now) == nil:
			valid = append(valid, pair)
			a.retry(pair.Leaf.NotAfter.Add(1))
		default:
			invalid = append(invalid, pair)
			a.retry(pair.Leaf.NotBefore)
		}
	}
	for _, pair := range valid {
		a.notices = append(a.notices, pair.notices...)
		list = append(list, pair.Certificate)
	}
	for _, pair := range invalid {
		a.notices = append(a.notices, pair.notices...)
		about := []slog.Attr{slog.String("file", pair.path), slog.String("err", pair.invalidity(a.now).Error())}
		if slices.ContainsFunc(valid, pair.isReplacedBy) {
			a.notice("server certificate is not valid now and is left out, as another one has its names", about...)
			continue
		}
		a.notice("server certificate is not valid now and is used nevertheless, as no other one has its names", about...)
		list = append(list, pair.Certificate)
	}
	return list
}

func readPair(certFile, keyFile *source) (*serverPair, error) {
	pair := &serverPair{path: certFile.Path}
	chain, certErr := pair.readChain(certFile)
	key, keyErr := pair.readKey(keyFile)
	if err := errors.Join(certErr, keyErr); err != nil {
		return nil, err
	}
	if !belongsTo(key, chain[0]) {
		return nil, fmt.Errorf("key file %s does not belong to certificate file %s", keyFile.Path, certFile.Path)
	}
	pair.PrivateKey, pair.Leaf = key, chain[0]
	for _, cert := range chain {
		pair.Certificate.Certificate = append(pair.Certificate.Certificate, cert.Raw)
	}
	return pair, nil
}

// readChain reads a file with at least one certificate. Private keys in it are passed over, since one file may hold
// both.
func (p *serverPair) readChain(file *source) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	err := eachBlock("certificate", file, func(position int, block *pem.Block) error {
		der, _, ok := certificateOf(block)
		if !ok {
			if !isKey(block) {
				p.notices = append(p.notices, passedOver("certificate", file, position, block))
			}
			return nil
		}
		cert, err := x509.ParseCertificate(der)
		chain = append(chain, cert)
		return err
	})
	if err == nil && len(chain) == 0 {
		err = fmt.Errorf("certificate file %s holds no certificate", file.Path)
	}
	return chain, err
}

// readKey reads a file with exactly one private key. Certificates in it are passed over.
func (p *serverPair) readKey(file *source) (crypto.Signer, error) {
	var keys []crypto.Signer
	err := eachBlock("key", file, func(position int, block *pem.Block) error {
		_, _, isCertificate := certificateOf(block)
		switch {
		case isCertificate, block.Type == pemECParameters:
			return nil
		case !isKey(block):
			p.notices = append(p.notices, passedOver("key", file, position, block))
			return nil
		}
		key, err := parseKey(block)
		keys = append(keys, key)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case len(keys) != 1:
		return nil, fmt.Errorf("key file %s holds %d private keys, not one", file.Path, len(keys))
	}
	return keys[0], nil
}

// parseKey reads a private key in any of its three encodings, whatever its label says, as tls.X509KeyPair and OpenSSL
// do. The error is that of the encoding that the label promises.
func parseKey(block *pem.Block) (crypto.Signer, error) {
	if block.Type == pemEncryptedKey || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted")
	}
	parsers := map[string]func([]byte) (any, error){
		pemPKCS8Key: x509.ParsePKCS8PrivateKey,
		pemPKCS1Key: func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		pemSEC1Key:  func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
	}
	key, promised := parsers[block.Type](block.Bytes)
	for label, parse := range parsers {
		if promised == nil {
			break
		}
		if label == block.Type {
			continue
		}
		if other, err := parse(block.Bytes); err == nil {
			key, promised = other, nil
		}
	}
	if promised != nil {
		return nil, promised
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

func belongsTo(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}
