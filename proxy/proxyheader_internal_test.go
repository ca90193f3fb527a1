// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	proxyproto "github.com/pires/go-proxyproto"
)

// Whatever comes, in whatever pieces: what is accepted was read to its last byte and not beyond, and means what
// go-proxyproto makes of the whole stream.
func FuzzReadProxyHeader(f *testing.F) {
	const sig = "\r\n\r\n\x00\r\nQUIT\n"
	for _, s := range []string{
		"PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n\x16\x03\x01",
		"PROXY TCP6 2001:db8::7 ::ffff:192.0.2.1 0 65535\r\n",
		"PROXY UNKNOWN\r\n\x16\x03\x01",
		"PROXY UNKNOWN ffff::ffff what ever\r\n",
		"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\r\n",
		sig + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\x12\x67\x22\xb3\x16\x03\x01",
		sig + "\x20\x00\x00\x03abc\x16",
		sig + "\x20\x11\x00\x00\x16",
		sig + "\x21\x31\x00\xd8" + string(make([]byte, 220)),
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		header, err := readProxyHeader(r)
		consumed := len(sent) - r.Len()

		slow := bytes.NewReader(sent)
		again, errAgain := readProxyHeader(iotest.OneByteReader(slow))
		if (err == nil) != (errAgain == nil) || consumed != len(sent)-slow.Len() {
			t.Fatalf("as a whole: %v after %d bytes; byte by byte: %v after %d", err, consumed, errAgain, len(sent)-slow.Len())
		}
		if limit := proxyV2Fixed + proxyV2MaxRest; consumed > limit {
			t.Fatalf("read %d bytes, more than %d", consumed, limit)
		}

		ahead := bufio.NewReader(bytes.NewReader(sent))
		want, wantErr := proxyproto.Read(ahead)
		if err != nil {
			if wantErr == nil {
				t.Fatalf("got %v, but go-proxyproto reads %+v", err, want)
			}
			return
		}
		rest, _ := io.ReadAll(ahead)
		if wantErr != nil || !header.EqualsTo(want) || consumed != len(sent)-len(rest) {
			t.Fatalf("got %+v of %d bytes, want %+v (%v) of %d", header, consumed, want, wantErr, len(sent)-len(rest))
		}
		if !header.EqualsTo(again) {
			t.Fatalf("as a whole: %+v; byte by byte: %+v", header, again)
		}
	})
}
