// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"time"

	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A primitive is cryptography that a connection or a record cannot do without.
type primitive struct {
	name string
	use  string // what the server does it for
	make func() (op func() error, err error)
}

var primitives = []primitive{
	{"ECDSA P-256, sign", "proves who the server is, with an ECDSA pair; not when resumed", ecdsaSign},
	{"RSA-2048, sign (PSS)", "the same with an RSA pair", rsaSign},
	{"ECDSA P-256, verify", "the device has its key, and its CA has signed it: two of them; none when resumed", ecdsaVerify},
	{"X25519, new key and secret", "new keys for each connection, resumed ones included", x25519},
	{"ML-KEM-768, encapsulate", "the same against quantum computers, for clients that offer it", mlkem768},
	{"X.509, parse a certificate", "to know whom it names; of a resumed session it comes with the ticket", parseCertificate},
	{"AES-128-GCM, seal 64 B", "each small message", seal(64)},
	{"AES-128-GCM, seal 16 KiB", "each large record", seal(16 << 10)},
}

// floor is what the primitives cost by themselves.
func (s *scaling) floor(context.Context) (grid, error) {
	g := grid{head: []string{"primitive", "µs", "used for"}}
	for _, p := range primitives {
		cost, err := p.cost(s.effort.primitive)
		if err != nil {
			return g, err
		}
		g.add(p.name, number(cost*micro), p.use)
	}
	return g, nil
}

// cost is the processor time of one operation in seconds, from so much processor time of operations.
func (p *primitive) cost(d time.Duration) (float64, error) {
	op, err := p.make()
	if err != nil {
		return 0, err
	}
	for n := 1; ; n *= 2 {
		before, err := peer.OwnTime()
		if err != nil {
			return 0, err
		}
		for range n {
			if err := op(); err != nil {
				return 0, err
			}
		}
		after, err := peer.OwnTime()
		if err != nil {
			return 0, err
		}
		if used := after - before; used >= d {
			return used.Seconds() / float64(n), nil
		}
	}
}

func ecdsaSign() (func() error, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	digest := sha256.Sum256(nil)
	return func() error {
		_, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
		return err
	}, err
}

func rsaSign() (func() error, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	digest := sha256.Sum256(nil)
	return func() error {
		_, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], nil)
		return err
	}, err
}

func ecdsaVerify() (func() error, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(nil)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	return func() error {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			return errors.New("a good signature is not verified")
		}
		return nil
	}, err
}

func x25519() (func() error, error) {
	other, err := ecdh.X25519().GenerateKey(rand.Reader)
	return func() error {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return err
		}
		_, err = key.ECDH(other.PublicKey())
		return err
	}, err
}

func mlkem768() (func() error, error) {
	other, err := mlkem.GenerateKey768()
	if err != nil {
		return nil, err
	}
	key := other.EncapsulationKey()
	return func() error {
		key.Encapsulate()
		return nil
	}, nil
}

func parseCertificate() (func() error, error) {
	der := certtest.NewCA("floor").Issue("bench:device").Leaf.Raw
	return func() error {
		_, err := x509.ParseCertificate(der)
		return err
	}, nil
}

func seal(size int) func() (func() error, error) {
	return func() (func() error, error) {
		block, err := aes.NewCipher(make([]byte, 16))
		if err != nil {
			return nil, err
		}
		gcm, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		nonce, plain := make([]byte, gcm.NonceSize()), make([]byte, size)
		sealed := make([]byte, 0, size+gcm.Overhead())
		return func() error {
			gcm.Seal(sealed, nonce, plain, nil)
			return nil
		}, nil
	}
}
