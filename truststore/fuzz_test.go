// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// addFiles gives the fuzzer all files that match.
func addFiles(f *testing.F, patterns ...string) {
	f.Helper()
	for _, pattern := range patterns {
		names, err := filepath.Glob(filepath.Join("testdata", "cases", "*", pattern))
		if err != nil || len(names) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(names), err)
		}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
}

// FuzzCAFile: of a file that is accepted, each block is a CA that can be used or has a notice, and half of one more
// block behind it is noticed.
func FuzzCAFile(f *testing.F) {
	addFiles(f, "ca*.crt")
	whole := certtest.NewCA("root").PEM()
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := readCAFile(&source{data: data}, time.Now())
		if err != nil {
			return
		}
		blocks, err := pki.ReadPEM(data)
		if err != nil || len(file.certs)+len(file.notices) < len(blocks) {
			t.Fatalf("%d blocks (%v), but %d CAs and %d notices", len(blocks), err, len(file.certs), len(file.notices))
		}
		for _, cert := range file.certs {
			if err := verifiesNothing(cert); err != nil || !isCA(cert) {
				t.Errorf("%v is taken: %v", cert.Subject, err)
			}
		}
		newBundle(file.certs)
		if _, err := readCAFile(&source{data: slices.Concat(data, []byte("\n"), whole[:len(whole)/2])}, time.Now()); err == nil {
			t.Error("half a block behind it is accepted")
		}
	})
}

// FuzzKey: a key is read in the encoding that it has, whatever its label says.
func FuzzKey(f *testing.F) {
	addFiles(f, "*.key", "*.pem")
	f.Fuzz(func(t *testing.T, data []byte) {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			keys := make(map[string]crypto.Signer)
			for _, label := range []string{pemPKCS8Key, pemPKCS1Key, pemSEC1Key} {
				if key, err := parseKey(&pem.Block{Type: label, Bytes: block.Bytes}); err == nil {
					keys[label] = key
				}
			}
			if len(keys) != 0 && len(keys) != 3 {
				t.Fatalf("it is a key with %d of 3 labels", len(keys))
			}
			_, pkcs8 := x509.ParsePKCS8PrivateKey(block.Bytes)
			_, pkcs1 := x509.ParsePKCS1PrivateKey(block.Bytes)
			_, sec1 := x509.ParseECPrivateKey(block.Bytes)
			if len(keys) == 0 && (pkcs1 == nil || sec1 == nil) {
				t.Errorf("a key is refused (PKCS #8: %v)", pkcs8)
			}
		}
	})
}
