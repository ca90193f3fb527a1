// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"bytes"
	"encoding/pem"
	"slices"
	"testing"
)

// FuzzReadPEM compares with encoding/pem, which skips what it cannot read: a
// file that is accepted has nothing to be skipped, and has no block too many
// when another one begins behind it.
func FuzzReadPEM(f *testing.F) {
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: bytes.Repeat([]byte("DER"), 100)})
	f.Add(root)
	f.Add(slices.Concat([]byte("# text\r\n-----\n"), root, []byte("\n"), root))
	f.Add([]byte("-----BEGIN X-----\nA: b\n\nAAAA\n-----END X-----"))
	f.Add(slices.Concat([]byte("\xef\xbb\xbf----- My CA -----\n"), root))
	f.Add([]byte("-----BEGIN X-----\n-----BEGIN Y-----\n-----END Y-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := ReadPEM(data)
		if err != nil {
			return
		}
		rest := WithoutBOM(data)
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
		if _, err := ReadPEM(slices.Concat(data, []byte("\n"), root[:len(root)/2])); err == nil {
			t.Fatal("half a block behind it is accepted")
		}
	})
}
