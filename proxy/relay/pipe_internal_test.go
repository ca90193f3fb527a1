// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"io"
	"net"
	"testing"
)

// What a message of 64 bytes costs on its way through a pipe, without the system calls: to be compared with and
// without counting.
func BenchmarkCarry(b *testing.B) {
	message := append([]byte{0x30, 62}, make([]byte, 62)...)
	r := &repeated{message: message, times: b.N}
	p := Pipe{src: new(Conn), dst: new(Conn)}
	p.src.Open(r)
	p.dst.Open(r)
	b.ReportAllocs()
	b.ResetTimer()
	if got := p.carry(); got.Err != io.EOF {
		b.Fatal(got.Err)
	}
	if _, packets := p.Carried(); packets != uint64(b.N) {
		b.Fatalf("counted %d packets, want %d", packets, b.N)
	}
}

// A repeated message is one read each time. What is written to it is gone.
type repeated struct {
	net.Conn
	message []byte
	times   int
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.times--; r.times < 0 {
		return 0, io.EOF
	}
	return copy(p, r.message), nil
}

func (r *repeated) Write(p []byte) (int, error) { return len(p), nil }
