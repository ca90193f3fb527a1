// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// largeCRL is one that is not kept as it was read.
func largeCRL(tb testing.TB) []byte {
	tb.Helper()
	der := certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: 40_000})
	if len(der) <= keptSize {
		tb.Fatalf("a list of %d bytes is not large", len(der))
	}
	return der
}

func writeFile(tb testing.TB, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "ca.crl")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func TestLargeCRLsAreReadPieceByPiece(t *testing.T) {
	t.Parallel()
	der := largeCRL(t)
	oneLine := append([]byte("-----BEGIN X509 CRL-----\n"), bytes.ReplaceAll(certtest.PEMEncodeCRL(der), []byte("\n"), nil)[24:]...)
	oneLine = bytes.Replace(oneLine, []byte("-----END"), []byte("\n-----END"), 1)
	for name, data := range map[string][]byte{
		"DER":                  der,
		"PEM":                  certtest.PEMEncodeCRL(der),
		"PEM with other lines": bytes.ReplaceAll(certtest.PEMEncodeCRL(der), []byte("\n"), []byte(" \r\n\r\n")),
		"PEM in one line":      oneLine,
		"PEM behind text":      append([]byte("# the CA's list\n"), certtest.PEMEncodeCRL(der)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := readFile(writeFile(t, data), keptSize, nil)
			if file.err != nil || file.large == nil {
				t.Fatalf("file of %d bytes: err %v, left open %v", len(data), file.err, file.large != nil)
			}
			defer file.large.Close()
			lists := 0
			err := eachList(&file, nil, func(in io.Reader) error {
				lists++
				got, err := io.ReadAll(in)
				if !bytes.Equal(got, der) {
					t.Errorf("%d bytes that are not the list's %d", len(got), len(der))
				}
				return err
			})
			if err != nil || lists != 1 {
				t.Errorf("%d lists, err %v, want one", lists, err)
			}
		})
	}
}

// In a bubble, time passes in rests only, of which this pace takes one at every breath.
func TestLargeCRLsAreReadWithRests(t *testing.T) {
	t.Parallel()
	path := writeFile(t, certtest.PEMEncodeCRL(largeCRL(t)))
	synctest.Test(t, func(t *testing.T) {
		p := new(pace)
		began := time.Now()
		file := readFile(path, keptSize, p)
		defer file.large.Close()
		if got, want := int64(time.Since(began)/rest), file.size/pieceSize; got < want {
			t.Errorf("%d rests for %d bytes that are read for their hash, want at least %d", got, file.size, want)
		}
		began = time.Now()
		err := eachList(&file, p, func(in io.Reader) error {
			list, _, err := parseCRL(in, p)
			if got, want := int(time.Since(began)/rest), list.Entries/breath; got < want {
				t.Errorf("%d rests for %d entries, want at least %d", got, list.Entries, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestNobodyRestsBeforeAnybodyIsServed(t *testing.T) {
	t.Parallel()
	var s Store
	if p := s.paceOf(t.Context()); p != nil {
		t.Errorf("before the first generation: got %+v, want no pace", p)
	}
	s.current.Store(new(Generation))
	if p := s.paceOf(t.Context()); p == nil || p.stretch != stretch {
		t.Errorf("after it: got %+v, want rests after %v", p, stretch)
	}
}

func TestLargeFileThatChangesWhileItIsReadIsRefused(t *testing.T) {
	t.Parallel()
	data := certtest.PEMEncodeCRL(largeCRL(t))
	path := writeFile(t, data)
	set := &fileSet{crls: readAll([]string{path}, keptSize, nil)}
	file := &set.crls[0]
	add := func() error { return (&Generation{loaded: time.Now()}).addCRLFile(file, false, nil) }
	if err := add(); err != nil {
		t.Fatalf("before: %v", err)
	}
	later := file.modified.Add(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	const want = "was changed while it was read"
	if err := add(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want that it %s", err, want)
	}
	if err := os.Truncate(path, file.size/2); err != nil {
		t.Fatal(err)
	}
	if err := add(); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("cut: got %v, want that it %s", err, want)
	}
	set.close()
	if _, err := file.large.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the set was closed: %v, want %v", err, os.ErrClosed)
	}
}

// FuzzCRLFile compares with readPEM, which has all of the file in memory: what
// the stream accepts has the same blocks there.
func FuzzCRLFile(f *testing.F) {
	list := certtest.PEMEncodeCRL(certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: 3}))
	f.Add(list)
	f.Add(append([]byte("# text\r\n-----\n"), bytes.ReplaceAll(list, []byte("\n"), []byte("\r\n"))...))
	f.Add(append(bytes.Clone(list), list[:len(list)-2]...))
	f.Add([]byte("-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----"))
	f.Add([]byte("-----BEGIN X509 CRL-----\nAA==\nAA==\n-----END X509 CRL-----"))
	f.Add([]byte("-----BEGIN X509 CRL-----\nA: b\n\nAAAA\n-----END X509 CRL-----"))
	f.Add([]byte("-----BEGIN X509 CRL-----\n" + strings.Repeat("A", textSize) + "AA==\r\r\r\rA\nAAA\n-----END X509 CRL-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if isDER(data[:min(len(data), 2)]) {
			return
		}
		var lists [][]byte
		file := &source{data: data}
		err := eachList(file, nil, func(in io.Reader) error {
			der, err := io.ReadAll(in)
			lists = append(lists, der)
			return err
		})
		if err != nil {
			return
		}
		blocks, err := readPEM(data)
		if err != nil || len(blocks) != len(lists) {
			t.Fatalf("%d lists; readPEM: %d blocks, %v", len(lists), len(blocks), err)
		}
		for i, block := range blocks {
			if block.Type != pemCRL || !bytes.Equal(block.Bytes, lists[i]) {
				t.Errorf("list %d is not that of readPEM", i+1)
			}
		}
	})
}
