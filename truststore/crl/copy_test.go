// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// TestCopiedListsAreTheSame has three lists, the second of them large, among what is broken.
func TestCopiedListsAreTheSame(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	first, second, third := root.CRL(certtest.CRLOptions{Number: 1}), largeList(t), root.CRL(certtest.CRLOptions{Number: 3})
	whole := slices.Concat(certtest.PEMEncodeCRL(first), certtest.PEMEncodeCRL(second), root.PEM(), certtest.PEMEncodeCRL(third))
	broken := slices.Concat([]byte("-----BEGIN X509 CRL-----\nMIIB\n"), certtest.PEMEncodeCRL(first)[:200], []byte("\n"), whole)
	for name, row := range map[string]struct {
		file   []byte
		places []int // but for those of broken ones
		want   [][]byte
		fails  bool
	}{
		"all":                {whole, []int{1, 2, 3}, [][]byte{first, second, third}, false},
		"one":                {whole, []int{2}, [][]byte{second}, false},
		"none":               {whole, nil, nil, false},
		"none of no file":    {nil, nil, nil, false},
		"in DER":             {second, []int{1}, [][]byte{second}, false},
		"behind broken ones": {broken, []int{3, 5}, [][]byte{first, third}, false},
		"one that is broken": {broken, []int{2, 5}, nil, true},
		"one too many":       {whole, []int{3, 4}, nil, true},
		"of no file":         {nil, []int{1}, nil, true},
	} {
		var out bytes.Buffer
		err := Copy(&out, bytes.NewReader(row.file), row.places, nil)
		if (err != nil) != row.fails {
			t.Errorf("%s: got %v", name, err)
		}
		if row.fails {
			continue
		}
		var got [][]byte
		if err := eachDER(&out, &got); len(row.want) > 0 && err != nil || !slices.EqualFunc(got, row.want, bytes.Equal) {
			t.Errorf("%s: %d lists (%v), want %d", name, len(got), err, len(row.want))
		}
	}
	if err := Copy(io.Discard, iotest.TimeoutReader(bytes.NewReader(whole)), []int{3}, nil); err == nil {
		t.Error("a file that cannot be read is copied")
	}
}

// The place of a list is that which Copy knows it by, whatever is before it.
func TestListsKnowTheirPlace(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	lists := map[int][]byte{2: nil, 4: nil}
	for number := range lists {
		lists[number] = certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{Number: int64(number)}))
	}
	file := slices.Concat([]byte("-----BEGIN X509 CRL-----\nMIIB\n"), lists[2], root.PEM(), []byte("-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n"), lists[4])
	found := 0
	_ = Read(bytes.NewReader(file), nil, func(l *List, err error) {
		if l == nil || err != nil {
			return
		}
		found++
		if int64(l.Place) != l.Number.Int64() {
			t.Errorf("list %v has place %d", l.Number, l.Place)
		}
		var out bytes.Buffer
		if err := Copy(&out, bytes.NewReader(file), []int{l.Place}, nil); err != nil || !bytes.Equal(out.Bytes(), lists[l.Place]) {
			t.Errorf("list %v is copied as another one: %v", l.Number, err)
		}
	})
	if found != 2 {
		t.Errorf("%d lists are found, want 2", found)
	}
}
