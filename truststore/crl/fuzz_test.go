// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"crypto/x509"
	"math/big"
	"runtime"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// FuzzParseCRL compares with crypto/x509, which keeps every entry: a list that
// both accept says the same to both. x509 alone accepts what this package has
// rules against; this package alone accepts version 1, and odd dates in entries.
func FuzzParseCRL(f *testing.F) {
	root := certtest.NewCA("root")
	device := root.Issue("acme:lamp").Leaf
	serials := []*big.Int{big.NewInt(0), big.NewInt(-1), big.NewInt(128), new(big.Int).Lsh(big.NewInt(1), 511)}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, opts := range []certtest.CRLOptions{
		{},
		{Number: 7, Revoked: []*x509.Certificate{device}},
		{Number: -1, NoNextUpdate: true, Serials: serials},
		{VersionOne: true, Fill: 1},
		{Fill: 3, ThisUpdate: at.AddDate(50, 0, 0), NextUpdate: at.AddDate(51, 0, 0)},
	} {
		f.Add(root.CRL(opts))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		list, err := Parse(bytes.NewReader(der), nil)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(der)+pieceSize+1<<16); got > most {
			t.Errorf("%d bytes allocated for %d, want at most %d", got, len(der), most)
		}
		oracle, oracleErr := x509.ParseRevocationList(der)
		if err == nil && oracleErr == nil {
			compare(t, list, oracle)
		}
	})
}

// compare fails the test unless both lists say the same.
func compare(t *testing.T, list *List, oracle *x509.RevocationList) {
	t.Helper()
	s := list.signed
	if list.Entries != len(oracle.RevokedCertificateEntries) {
		t.Errorf("%d entries, want %d", list.Entries, len(oracle.RevokedCertificateEntries))
	}
	one := big.NewInt(1)
	listed := make(map[string]bool)
	for _, entry := range oracle.RevokedCertificateEntries {
		const removeFromCRL = 8 // crypto/x509 leaves it to its caller
		if entry.ReasonCode != removeFromCRL {
			listed[entry.SerialNumber.String()] = true
		}
	}
	for _, entry := range oracle.RevokedCertificateEntries {
		serial := entry.SerialNumber
		if got, want := list.Has(serial), serial.Sign() >= 0 && listed[serial.String()]; got != want {
			t.Errorf("serial %x: found %v, want %v", serial, got, want)
		}
		next := new(big.Int).Add(serial, one)
		if next.Sign() >= 0 && list.Has(next) != listed[next.String()] {
			t.Errorf("serial %x: found %v", next, !listed[next.String()])
		}
	}
	want := newSigned(oracle.SignatureAlgorithm)
	want.add(oracle.RawTBSRevocationList)
	want.signature = oracle.Signature
	if s.algorithm != want.algorithm || !bytes.Equal(s.signature, want.signature) || !bytes.Equal(toBeSigned(s), toBeSigned(want)) {
		t.Error("signed with other bytes")
	}
	if !bytes.Equal(list.RawIssuer, oracle.RawIssuer) || !list.ThisUpdate.Equal(oracle.ThisUpdate) || !list.NextUpdate.Equal(oracle.NextUpdate) {
		t.Errorf("got %+v, want that of %v at %v until %v", list, oracle.Issuer, oracle.ThisUpdate, oracle.NextUpdate)
	}
	if (list.Number == nil) != (oracle.Number == nil) || list.Number != nil && list.Number.Cmp(oracle.Number) != 0 {
		t.Errorf("number %v, want %v", list.Number, oracle.Number)
	}
}

// toBeSigned is what a signature is made of: a hash, or the message.
func toBeSigned(s *signed) []byte {
	if s.digest == nil {
		return s.message
	}
	return s.digest.Sum(nil)
}
