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
	"time"
)

// readServerCertificates reads the n-th certificate with the n-th key, and
// reports everything that is wrong with any pair.
func readServerCertificates(certs, keys []source, now time.Time) ([]tls.Certificate, error) {
	var pairs []tls.Certificate
	var mistakes []error
	for i := range certs {
		pair, err := readPair(&certs[i], &keys[i], now)
		pairs = append(pairs, pair)
		mistakes = append(mistakes, err)
	}
	return pairs, errors.Join(mistakes...)
}

func readPair(certFile, keyFile *source, now time.Time) (tls.Certificate, error) {
	chain, certErr := readChain(certFile)
	key, keyErr := readKey(keyFile)
	if certErr == nil {
		certErr = checkValidity(certFile.Path, chain[0], now)
	}
	if err := errors.Join(certErr, keyErr); err != nil {
		return tls.Certificate{}, err
	}
	if !belongsTo(key, chain[0]) {
		return tls.Certificate{}, fmt.Errorf("key file %s does not belong to certificate file %s", keyFile.Path, certFile.Path)
	}
	pair := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, cert := range chain {
		pair.Certificate = append(pair.Certificate, cert.Raw)
	}
	return pair, nil
}

// readChain reads a file with at least one certificate. Private keys in it are
// passed over, since one file may hold both.
func readChain(file *source) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	err := eachBlock("certificate", file, func(block *pem.Block) error {
		switch block.Type {
		case pemCertificate:
			cert, err := x509.ParseCertificate(block.Bytes)
			chain = append(chain, cert)
			return err
		case pemPKCS8Key, pemPKCS1Key, pemSEC1Key, pemECParameters:
			return nil
		}
		return errUnexpectedType(block)
	})
	if err == nil && len(chain) == 0 {
		err = fmt.Errorf("certificate file %s holds no certificate", file.Path)
	}
	return chain, err
}

// readKey reads a file with exactly one private key. Certificates in it are
// passed over.
func readKey(file *source) (crypto.Signer, error) {
	var keys []crypto.Signer
	err := eachBlock("key", file, func(block *pem.Block) error {
		switch block.Type {
		case pemCertificate, pemECParameters:
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

func parseKey(block *pem.Block) (crypto.Signer, error) {
	if block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted")
	}
	var key any
	var err error
	switch block.Type {
	case pemPKCS8Key:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case pemPKCS1Key:
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case pemSEC1Key:
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errUnexpectedType(block)
	}
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
	return signer, nil
}

// eachBlock calls visit for every block of a PEM file of the given kind, and
// reports everything that visit does not like by file and block.
func eachBlock(kind string, file *source, visit func(*pem.Block) error) error {
	if file.err != nil {
		return fmt.Errorf("reading %s file: %w", kind, file.err)
	}
	blocks, err := readPEM(file.data)
	if err != nil {
		return fmt.Errorf("%s file %s: %w", kind, file.Path, err)
	}
	var mistakes []error
	for i, block := range blocks {
		if err := visit(block); err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s file %s: PEM block %d: %w", kind, file.Path, i+1, err))
		}
	}
	return errors.Join(mistakes...)
}

func errUnexpectedType(block *pem.Block) error {
	return fmt.Errorf("type %q does not belong here", block.Type)
}

func checkValidity(path string, cert *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(cert.NotBefore):
		return fmt.Errorf("certificate file %s: %q is not valid before %s", path, cert.Subject, cert.NotBefore.Format(time.RFC3339))
	case now.After(cert.NotAfter):
		return fmt.Errorf("certificate file %s: %q has expired on %s", path, cert.Subject, cert.NotAfter.Format(time.RFC3339))
	}
	return nil
}

func belongsTo(key crypto.Signer, cert *x509.Certificate) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(cert.PublicKey)
}
