// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"runtime"
	"slices"
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
		list, s, err := parseCRL(bytes.NewReader(der), nil)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(64*len(der)+pieceSize+1<<16); got > most {
			t.Errorf("%d bytes allocated for %d, want at most %d", got, len(der), most)
		}
		oracle, oracleErr := x509.ParseRevocationList(der)
		if err == nil && oracleErr == nil {
			compare(t, list, s, oracle)
		}
	})
}

// compare fails the test unless both lists say the same.
func compare(t *testing.T, list *crl, s *signed, oracle *x509.RevocationList) {
	t.Helper()
	if list.Entries != len(oracle.RevokedCertificateEntries) {
		t.Errorf("%d entries, want %d", list.Entries, len(oracle.RevokedCertificateEntries))
	}
	one := big.NewInt(1)
	listed := make(map[string]bool)
	for _, entry := range oracle.RevokedCertificateEntries {
		listed[entry.SerialNumber.String()] = true
	}
	for _, entry := range oracle.RevokedCertificateEntries {
		serial := entry.SerialNumber
		if got, want := list.revoked.has(serial), serial.Sign() >= 0; got != want {
			t.Errorf("serial %x: found %v, want %v", serial, got, want)
		}
		next := new(big.Int).Add(serial, one)
		if next.Sign() >= 0 && list.revoked.has(next) != listed[next.String()] {
			t.Errorf("serial %x: found %v", next, !listed[next.String()])
		}
	}
	want := newSigned(oracle.SignatureAlgorithm)
	want.add(oracle.RawTBSRevocationList)
	want.signature = oracle.Signature
	if s.algorithm != want.algorithm || !bytes.Equal(s.signature, want.signature) || !bytes.Equal(toBeSigned(s), toBeSigned(want)) {
		t.Error("signed with other bytes")
	}
	if !bytes.Equal(list.rawIssuer, oracle.RawIssuer) || !list.ThisUpdate.Equal(oracle.ThisUpdate) || !list.NextUpdate.Equal(oracle.NextUpdate) {
		t.Errorf("got %+v, want that of %v at %v until %v", list.CRL, oracle.Issuer, oracle.ThisUpdate, oracle.NextUpdate)
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

// FuzzReadPEM compares with encoding/pem, which skips what it cannot read: a
// file that is accepted has nothing to be skipped, and has no block too many
// when another one begins behind it.
func FuzzReadPEM(f *testing.F) {
	root := certtest.NewCA("root").PEM()
	f.Add(root)
	f.Add(slices.Concat([]byte("# text\r\n-----\n"), root, []byte("\n"), root))
	f.Add([]byte("-----BEGIN X-----\nA: b\n\nAAAA\n-----END X-----"))
	f.Add([]byte("-----BEGIN X-----\n-----BEGIN Y-----\n-----END Y-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := readPEM(data)
		if err != nil {
			return
		}
		rest := data
		for i, got := range blocks {
			var want *pem.Block
			want, rest = pem.Decode(rest)
			if want == nil || got.Type != want.Type || !bytes.Equal(got.Bytes, want.Bytes) {
				t.Fatalf("block %d is %v, want %v", i, got, want)
			}
		}
		if more, _ := pem.Decode(rest); more != nil {
			t.Fatalf("block %v is missing", more)
		}
		if _, err := readPEM(slices.Concat(data, []byte("\n"), root[:len(root)/2])); err == nil {
			t.Fatal("half a block behind it is accepted")
		}
	})
}
