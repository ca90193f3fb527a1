// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// Clients by WebSocket and without it come and go at one listener, in every way, while their certificates are revoked, while
// they are kicked, and during a drain. The race detector looks on; afterwards nothing is left.
func TestEverythingAtOnceByWebSocket(t *testing.T) {
	t.Parallel()
	var devices []*certtest.Cert
	for range 6 {
		devices = append(devices, testPKI().ca.Issue("admin:dev1"))
	}
	trusts := []*trust{newTrust(), newTrust(devices[0].Leaf, devices[1].Leaf)}
	withdrawals := []proxy.Withdrawal{{}, {Revoked: revoking(devices[0].Leaf, devices[1].Leaf)}}
	addr := eager(t)
	g := startProtocolGate(t, proxy.Devices, proxy.ByALPN, func(c *proxy.Config) {
		c.Lease = newTurns(addr).lease
		c.Recheck, c.MaxLifetime = 20*time.Millisecond, 100*time.Millisecond
	})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var running sync.WaitGroup
	var sessions, others, resumed atomic.Int32
	for i, device := range devices {
		for _, version := range bothVersions {
			config := clientConfig(device)
			config.MinVersion, config.MaxVersion = version, version
			config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			overHTTP := config.Clone()
			overHTTP.NextProtos = []string{"http/1.1"}
			running.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if n%4 == 3 {
						comeAndGo(ctx, g.addr, config, &others, &resumed, i+n)
					} else {
						comeAndGoByWebSocket(ctx, g.addr, overHTTP, &sessions)
					}
				}
			})
		}
	}
	enough := func() bool { return sessions.Load() > 0 && others.Load() > 0 }
	g.wearOut(ctx, cancel, &running, trusts, withdrawals, enough)
	if !enough() {
		t.Errorf("got %d sessions by WebSocket and %d others, want some", sessions.Load(), others.Load())
	}
}

// comeAndGoByWebSocket is comeAndGo by WebSocket.
func comeAndGoByWebSocket(ctx context.Context, addr string, config *tls.Config, sessions *atomic.Int32) {
	dialer := tls.Dialer{Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte(upgradeRequest)); err != nil {
		return
	}
	in := bufio.NewReader(conn)
	if answer, err := http.ReadResponse(in, nil); err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	if _, err := conn.Write(maskedFrame(binaryFrame, connect5)); err != nil {
		return
	}
	if _, err := io.ReadFull(in, make([]byte, 2+len(connack5))); err != nil {
		return
	}
	sessions.Add(1)
	for _, frame := range [][]byte{
		maskedFrame(pingFrame, []byte("ping")),
		maskedFrame(binaryFrame, publish(20_000)),
		bytes.Repeat(maskedFrame(binaryFrame, pingreq), 50),
		maskedFrame(binaryFrame, pingreq)[:rand.IntN(8)],
	} {
		if _, err := conn.Write(frame); err != nil {
			return
		}
	}
	switch rand.IntN(4) {
	case 0:
		_, _ = conn.Write(maskedFrame(closeFrame, []byte("\x03\xe8")))
	case 1:
		_, _ = conn.Write(maskedFrame(textFrame, []byte("no")))
	case 2:
		return // cut
	}
	_, _ = io.Copy(io.Discard, in) // until it is ended
}
