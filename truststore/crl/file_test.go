// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// largeList is one of more than a million bytes.
func largeList(tb testing.TB) []byte {
	tb.Helper()
	return certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: 40_000})
}

func TestLargeListsAreReadPieceByPiece(t *testing.T) {
	t.Parallel()
	der := largeList(t)
	oneLine := append([]byte("-----BEGIN X509 CRL-----\n"), bytes.ReplaceAll(certtest.PEMEncodeCRL(der), []byte("\n"), nil)[24:]...)
	oneLine = bytes.Replace(oneLine, []byte("-----END"), []byte("\n-----END"), 1)
	for name, data := range map[string][]byte{
		"DER":                  der,
		"PEM":                  certtest.PEMEncodeCRL(der),
		"PEM with other lines": bytes.ReplaceAll(certtest.PEMEncodeCRL(der), []byte("\n"), []byte(" \r\n\r\n")),
		"PEM in one line":      oneLine,
		"PEM behind text":      append([]byte("# the CA's list\n----- it is long -----\n"), certtest.PEMEncodeCRL(der)...),
		"PEM behind a BOM":     append([]byte("\xef\xbb\xbf"), certtest.PEMEncodeCRL(der)...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lists [][]byte
			if err := eachDER(bytes.NewReader(data), &lists); err != nil || len(lists) != 1 || !bytes.Equal(lists[0], der) {
				t.Errorf("%d lists, err %v, want the one that was written", len(lists), err)
			}
		})
	}
}

// eachDER collects the lists of a file without parsing them.
func eachDER(file io.Reader, lists *[][]byte) error {
	var wrong error
	err := eachList(file, func(in io.Reader) (*List, error) {
		der, err := io.ReadAll(in)
		*lists = append(*lists, der)
		return nil, err
	}, func(_ *List, err error) { wrong = errors.Join(wrong, err) })
	return errors.Join(err, wrong)
}

// In a bubble, time passes in pauses only, of which this throttle makes one at every call.
func TestLargeListsAreReadWithPauses(t *testing.T) {
	t.Parallel()
	data := certtest.PEMEncodeCRL(largeList(t))
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := Read(bytes.NewReader(data), new(pace.Throttle), func(list *List, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if got, want := int(time.Since(began)/pace.Pause), list.Entries/batch; got < want {
				t.Errorf("%d pauses for %d entries, want at least %d", got, list.Entries, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestBlocksOfOtherTypesArePassedOver(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	var lists int
	var passed []error
	err := Read(bytes.NewReader(slices.Concat(root.PEM(), certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{})))), nil, func(list *List, err error) {
		if list == nil {
			passed = append(passed, err)
			return
		}
		lists++
	})
	if err != nil || lists != 1 || len(passed) != 1 || !errors.Is(passed[0], ErrUnsupported) || !strings.Contains(passed[0].Error(), `type "CERTIFICATE"`) {
		t.Errorf("got %d lists, %v passed over, err %v", lists, passed, err)
	}
}

// Whoever answers for a CA's server chooses how many there are: they are told of once.
func TestManyBlocksOfOtherTypesAreOneMessage(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	file := slices.Concat(bytes.Repeat([]byte("-----BEGIN A-----\n-----END A-----\n"), 500), certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{})), root.PEM())
	var lists int
	var said []string
	err := Read(bytes.NewReader(file), nil, func(list *List, err error) {
		if list == nil {
			said = append(said, err.Error())
			return
		}
		lists++
	})
	if want := []string{`PEM block 1: type "A" does not belong here, as well as 500 more`}; err != nil || lists != 1 || !slices.Equal(said, want) {
		t.Errorf("got %d lists, error %v and %q, want one list and %q", lists, err, said, want)
	}
}

func TestBlocksOfAFileAreBounded(t *testing.T) {
	t.Parallel()
	empty := []byte("-----BEGIN X509 CRL-----\n-----END X509 CRL-----\n")
	for blocks, want := range map[int]error{maxBlocks: nil, maxBlocks + 1: errBlocks, 2 * maxBlocks: errBlocks} {
		visits := 0
		err := Read(bytes.NewReader(bytes.Repeat(empty, blocks)), nil, func(_ *List, err error) {
			if visits++; !errors.Is(err, ErrMalformed) {
				t.Errorf("got %v of an empty block", err)
			}
		})
		if err != want || visits != maxBlocks {
			t.Errorf("%d blocks: got error %v and %d visits, want %v and %d", blocks, err, visits, want, maxBlocks)
		}
	}
}

// What is before the place where a file is cut counts.
func TestListsBeforeACutAreRead(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	one, two := certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Number: 1})), certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Number: 2}))
	for cut := 1; cut < len(two)-1; cut++ {
		lists := 0
		err := Read(bytes.NewReader(slices.Concat(one, two[:cut])), nil, func(_ *List, err error) {
			if lists++; err != nil {
				t.Errorf("cut after %d bytes: %v", cut, err)
			}
		})
		if err == nil || lists != 1 {
			t.Fatalf("cut after %d of %d bytes: %d lists and error %v, want one and an error", cut, len(two), lists, err)
		}
	}
}

// So does what is behind a block that is broken, whatever breaks it.
func TestListsBehindABrokenBlockAreRead(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	list := func(number int64) []byte { return certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Number: number})) }
	one, two, three := list(1), list(2), list(3)
	for name, test := range map[string]struct {
		file []byte
		want []int64
	}{
		"cut":                        {slices.Concat(one, two[:len(two)/2], []byte("\n"), three), []int64{1, 3}},
		"cut at its end":             {slices.Concat(one, two[:len(two)-5], []byte("\n"), three), []int64{1, 3}},
		"without its beginning":      {slices.Concat(one, two[len(two)/2:], three), []int64{1, 3}},
		"with another letter":        {slices.Concat(one, bytes.Replace(two, []byte("-----\nM"), []byte("-----\n!"), 1), three), []int64{1, 3}},
		"of another end":             {slices.Concat(one, bytes.Replace(two, []byte("END X509"), []byte("END X510"), 1), three), []int64{1, 3}},
		"joined without end of line": {slices.Concat(bytes.TrimSpace(one), bytes.TrimSpace(two), three), []int64{1, 2, 3}},
		"in one long line":           {slices.Concat(one, []byte("-----BEGIN X509 CRL-----\n!"), bytes.Repeat([]byte("A"), 3*pieceSize), []byte("\n"), three), []int64{1, 3}},
	} {
		var got []int64
		err := Read(bytes.NewReader(test.file), nil, func(l *List, err error) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			got = append(got, l.Number.Int64())
		})
		if err == nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got lists %v and error %v, want %v and an error", name, got, err, test.want)
		}
	}
}

// FuzzFile compares with pki.ReadPEM, which has all of the file in memory: what the stream accepts has the same blocks
// there. Whatever a file is, a list behind it is read.
func FuzzFile(f *testing.F) {
	list := certtest.PEMEncodeCRL(certtest.NewCA("root").CRL(certtest.CRLOptions{Fill: 3}))
	f.Add(list)
	f.Add(append([]byte("# text\r\n-----\n"), bytes.ReplaceAll(list, []byte("\n"), []byte("\r\n"))...))
	f.Add(append([]byte("\xef\xbb\xbf----- a list -----\n"), list...))
	f.Add(append(bytes.Clone(list), list[:len(list)-2]...))
	f.Add([]byte("-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----"))
	f.Add([]byte("-----BEGIN X509 CRL-----\nAA==\nAA==\n-----END X509 CRL-----"))
	f.Add([]byte("-----BEGIN X509 CRL-----\nA: b\n\nAAAA\n-----END X509 CRL-----"))
	f.Add([]byte("-----BEGIN X509 CRL-----\n" + strings.Repeat("A", textSize) + "AA==\r\r\r\rA\nAAA\n-----END X509 CRL-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if isDER(data[:min(len(data), 2)]) {
			return
		}
		var withList [][]byte
		_ = eachDER(bytes.NewReader(slices.Concat(data, []byte("\n"), list)), &withList)
		if len(withList) == 0 || !bytes.Equal(certtest.PEMEncodeCRL(withList[len(withList)-1]), list) {
			t.Errorf("the list behind it is not read: got %d lists", len(withList))
		}
		var lists [][]byte
		if err := eachDER(bytes.NewReader(data), &lists); err != nil {
			return
		}
		blocks, err := pki.ReadPEM(data)
		if err != nil || len(blocks) != len(lists) {
			t.Fatalf("%d lists; ReadPEM: %d blocks, %v", len(lists), len(blocks), err)
		}
		for i, block := range blocks {
			if block.Type != pemCRL || !bytes.Equal(block.Bytes, lists[i]) {
				t.Errorf("list %d is not that of ReadPEM", i+1)
			}
		}
	})
}
