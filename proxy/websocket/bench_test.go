// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package websocket_test

import (
	"bytes"
	"testing"
)

// What one Decode takes, which is how long a client can hold up the others of its loop: as many frames as there are in 128 KiB.
func BenchmarkDecode(b *testing.B) {
	const size = 128 << 10
	for name, frame := range map[string][]byte{
		"messages of 64 B":   frame(final|binaryFrame, string(make([]byte, 64))),
		"messages of 16 KiB": frame(final|binaryFrame, string(make([]byte, 16<<10))),
		"empty messages":     frame(final|binaryFrame, ""),
		"empty parts":        frame(continuation, ""),
		"pings":              frame(final|ping, ""),
		"large pings":        frame(final|ping, string(make([]byte, 125))),
	} {
		b.Run(name, func(b *testing.B) {
			l := open(b, nil)
			room := make([]byte, size)
			wire := bytes.Repeat(frame, size/len(frame))
			if frame[0]&0xF == continuation { // of a message that has begun
				if _, err := l.Decode(room, beginning); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for l.Pending() {
					if _, err := l.Decode(room, nil); err != nil {
						b.Fatal(err)
					}
				}
				l.sent.Reset()
				received := room[:copy(room, wire)]
				b.StartTimer()
				if _, err := l.Decode(room, received); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// beginning is the first part of a message.
var beginning = frame(binaryFrame, "")
