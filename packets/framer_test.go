// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

// skipAll feeds b to a new Framer in pieces of size and returns the offsets at
// which packets end.
func skipAll(b []byte, size int) (ends []int, f packets.Framer, err error) {
	for at := 0; at < len(b); {
		piece := b[at:min(at+size, len(b))]
		for len(piece) > 0 {
			n, err := f.Skip(piece)
			if err != nil {
				return ends, f, err
			}
			at, piece = at+n, piece[n:]
			if f.AtPacketBoundary() {
				ends = append(ends, at)
			}
		}
	}
	return ends, f, nil
}

func TestFramerFindsTheEndsOfPackets(t *testing.T) {
	t.Parallel()
	var stream []byte
	var want []int
	for _, size := range []int{0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 0, 2} {
		stream = append(stream, 0x30)
		for rest := size; ; rest >>= 7 {
			if rest < 0x80 {
				stream = append(stream, byte(rest))
				break
			}
			stream = append(stream, byte(rest)|0x80)
		}
		stream = append(stream, make([]byte, size)...)
		want = append(want, len(stream))
	}
	for _, size := range []int{1, 2, 3, 5, 1000, 1 << 15, len(stream)} {
		got, f, err := skipAll(stream, size)
		if err != nil {
			t.Fatalf("in pieces of %d: %v", size, err)
		}
		if len(got) != len(want) || f.Packets() != uint64(len(want)) {
			t.Fatalf("in pieces of %d: got %d ends and %d packets, want %d", size, len(got), f.Packets(), len(want))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("in pieces of %d: packet %d: got end %d, want %d", size, i, got[i], want[i])
			}
		}
	}
}

func TestFramerIsAtNoBorderInsideAPacket(t *testing.T) {
	t.Parallel()
	packet := []byte("\x30\x83\x00abc")
	var f packets.Framer
	if !f.AtPacketBoundary() {
		t.Error("got no border before the first packet")
	}
	for i := range packet {
		if _, err := f.Skip(packet[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if got, want := f.AtPacketBoundary(), i == len(packet)-1; got != want {
			t.Errorf("after %d bytes: got border %v, want %v", i+1, got, want)
		}
	}
}

func TestFramerRefusesALengthOfFiveBytes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 6} {
		if _, _, err := skipAll([]byte("\x30\x80\x80\x80\x80\x01"), size); !errors.Is(err, packets.ErrMalformed) {
			t.Errorf("in pieces of %d: got %v, want %v", size, err, packets.ErrMalformed)
		}
	}
	if _, _, err := skipAll([]byte("\x30\xff\xff\xff\x7f"), 1); err != nil {
		t.Errorf("four bytes: %v", err)
	}
}

func TestAppendRedirect(t *testing.T) {
	t.Parallel()
	got := packets.AppendRedirect([]byte{1}, "b:8883")
	if want := []byte("\x01\xe0\x0b\x9c\x09\x1c\x00\x06b:8883"); !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

// Where packets end does not depend on how the stream was cut.
func FuzzFramer(f *testing.F) {
	f.Add([]byte("\x30\x03abc\xc0\x00\x30\x80\x01"), 1)
	f.Add([]byte("\x30\xff\xff\xff\xff"), 2)
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		size = max(1, size&0xff)
		whole, _, wholeErr := skipAll(stream, max(1, len(stream)))
		pieces, _, err := skipAll(stream, size)
		if len(whole) != len(pieces) || (wholeErr == nil) != (err == nil) {
			t.Fatalf("whole: %v, %v; in pieces of %d: %v, %v", whole, wholeErr, size, pieces, err)
		}
		for i := range whole {
			if whole[i] != pieces[i] {
				t.Fatalf("packet %d ends at %d, in pieces of %d at %d", i, whole[i], size, pieces[i])
			}
		}
	})
}

func BenchmarkFramer(b *testing.B) {
	stream := bytes.Repeat(append([]byte("\x30\x40"), make([]byte, 64)...), 200)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	var f packets.Framer
	for b.Loop() {
		for n := 0; n < len(stream); {
			m, err := f.Skip(stream[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += m
		}
	}
}
