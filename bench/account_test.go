// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"

	"github.com/google/pprof/profile"
)

// Stacks begin with the innermost function, as in the profiles of vernegate.
func TestSamplesBelongToTheFirstPartOfTheirStack(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want  string
		stack []string
	}{
		{"memory: allocation, garbage collection", []string{"runtime.memclrNoHeapPointers", "runtime.mallocgc", "crypto/x509.parseCertificate", "crypto/tls.(*Conn).Handshake"}},
		{"key exchange", []string{"crypto/internal/fips140/edwards25519/field.feMul", "crypto/ecdh.x25519ScalarMult", "crypto/tls.(*serverHandshakeStateTLS13).processClientHello"}},
		{"signature of the server", []string{"crypto/internal/fips140/ecdsa.Sign[...]", "crypto/ecdsa.(*PrivateKey).Sign", "crypto/tls.(*Conn).Handshake"}},
		{"the device's signature, and its chain", []string{"crypto/internal/fips140/nistec.p256PointAddAsm", "crypto/ecdsa.VerifyASN1", "crypto/tls.verifyHandshakeSignature"}},
		{"TCP with the broker is opened", []string{"internal/runtime/syscall/linux.Syscall6", "syscall.connect", "net.(*netFD).connect", "github.com/vernegate/vernegate/internal/dial.Dial"}},
		{"kernel: reading and writing", []string{"internal/runtime/syscall/linux.Syscall6", "syscall.RawSyscall6", "syscall.write", "github.com/vernegate/vernegate/proxy.(*session).run"}},
		{"the rest of TLS: key schedule, records, messages", []string{"crypto/internal/fips140/sha256.blockSHANI", "crypto/tls.(*Conn).Handshake", "github.com/vernegate/vernegate/proxy.(*Server).shake"}},
		{"vernegate: trust, owner, CONNECT, registry, log, metrics", []string{"runtime.mapaccess1", "github.com/vernegate/vernegate/proxy.(*Server).shake"}},
		{"scheduler, timers", []string{"runtime.findRunnable", "runtime.mcall"}},
		{"scheduler, timers", nil},
	} {
		shares, err := sharesOf(sampled(t, test.stack))
		if err != nil {
			t.Fatal(err)
		}
		for i, share := range shares {
			if got := accountParts[i].name; share == 1 && got != test.want {
				t.Errorf("%q belongs to %q, want %q", test.stack, got, test.want)
			}
		}
	}
}

// sampled is a profile with one sample.
func sampled(t *testing.T, stack []string) []byte {
	t.Helper()
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}}}
	s := &profile.Sample{Value: []int64{1}}
	for i, name := range stack {
		f := &profile.Function{ID: uint64(i + 1), Name: name}
		l := &profile.Location{ID: uint64(i + 1), Line: []profile.Line{{Function: f}}}
		p.Function, p.Location, s.Location = append(p.Function, f), append(p.Location, l), append(s.Location, l)
	}
	p.Sample = append(p.Sample, s)
	var taken bytes.Buffer
	if err := p.Write(&taken); err != nil {
		t.Fatal(err)
	}
	return taken.Bytes()
}
