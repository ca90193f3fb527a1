// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
)

// A device with a small buffer gets records that fit into it, the broker's answer included.
func TestRecordsAreNoLargerThanConfigured(t *testing.T) {
	t.Parallel()
	const frame = 5 + 8 + 16 + 1 // header, nonce of TLS 1.2, tag, type of TLS 1.3
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{1 << 10, 4 << 10, 16 << 10} {
			b := startBroker(t)
			g := startGate(t, func(c *proxy.Config) { brokers(b)(c); c.MaxRecord = size })
			raw, err := net.Dial("tcp", g.addr)
			if err != nil {
				t.Fatal(err)
			}
			read := &keeper{Conn: raw}
			config := clientConfig(testPKI().device)
			config.MinVersion, config.MaxVersion = version, version
			client := tls.Client(read, config)
			_ = client.SetDeadline(time.Now().Add(patience))
			write(t, client, connect311)
			handshake := len(read.bytes)
			message := publish(50_000)
			backend := b.greet(connect311Owned, append(bytes.Clone(connack311), message...))
			write(t, backend, message)
			wantBytes(t, client, append(append(bytes.Clone(connack311), message...), message...))

			for rest := read.bytes[handshake:]; len(rest) >= 5; {
				n := 5 + int(binary.BigEndian.Uint16(rest[3:]))
				if n > size+frame {
					t.Errorf("%s: got a record of %d bytes, want %d of data at most", tls.VersionName(version), n, size)
				}
				rest = rest[min(n, len(rest)):]
			}
			_, _ = client.Close(), backend.Close()
		}
	}
}

// A keeper keeps what is read.
type keeper struct {
	net.Conn
	bytes []byte
}

func (k *keeper) Read(p []byte) (int, error) {
	n, err := k.Conn.Read(p)
	k.bytes = append(k.bytes, p[:n]...)
	return n, err
}
