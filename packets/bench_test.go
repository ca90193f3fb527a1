// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

// What does the proxy add to a connection for having looked at its CONNECT?
func BenchmarkReadConnect(b *testing.B) {
	for name, packet := range benchmarkPackets() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(packet)))
			r := bytes.NewReader(nil)
			for b.Loop() {
				r.Reset(packet)
				if _, err := packets.ReadConnect(r, limit); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRewrite(b *testing.B) {
	for name, packet := range benchmarkPackets() {
		b.Run(name, func(b *testing.B) {
			c, err := read(packet)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := withUsername(c, "admin:dev1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkPackets() map[string][]byte {
	bare := connect{name: "MQTT", level: 4, flags: 0x02, keepAlive: 60, clientID: "admin:dev1"}
	return map[string][]byte{
		"3.1.1-bare": bare.bytes(),
		"3.1.1-full": full311().bytes(),
		"5.0-full":   full5().bytes(),
		"5.0-64KiB":  large(64 << 10),
	}
}
