// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// crowd is a server with n sessions of devices in its registry. They share one TLS connection, but have a
// certificate each.
func crowd(b *testing.B, n int) *Server {
	b.Helper()
	s := New(Config{Metrics: NewMetrics(nil)})
	ca, shaken := authority("devices"), shakeHands(b)
	for i := range n {
		c := &session{
			server: s, tls: shaken, began: time.Now(), version: packets.V5, connack: connack{0, true},
			owner: fmt.Sprintf("tenant:device%06d", i), clientID: fmt.Sprintf("client%06d", i), backendAddr: "vernemq:1883",
		}
		c.client.Open(addressed{nil, &net.TCPAddr{IP: net.IPv4(10, byte(i>>16), byte(i>>8), byte(i)), Port: 40000}})
		enter(b, s.live, c, device(i, ca), time.Now().Add(time.Hour))
	}
	return s
}

// addressed is a connection of which only the address matters.
type addressed struct {
	net.Conn
	remote net.Addr
}

func (a addressed) RemoteAddr() net.Addr { return a.remote }
func (a addressed) LocalAddr() net.Addr  { return nil }

// shakeHands returns the server's side of a connection with a client certificate.
func shakeHands(b *testing.B) *tls.Conn {
	b.Helper()
	ca := certtest.NewCA("devices")
	device, gate := ca.Issue("tenant:device").TLS(), ca.Issue("gate", certtest.Server("gate")).TLS()
	here, there := net.Pipe()
	client := tls.Client(there, &tls.Config{RootCAs: ca.Pool(), ServerName: "gate", Certificates: []tls.Certificate{device}})
	server := tls.Server(here, &tls.Config{ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, Certificates: []tls.Certificate{gate}})
	go func() {
		_ = client.Handshake()
		_, _ = io.Copy(io.Discard, client) // what TLS 1.3 sends behind the handshake
	}()
	if err := server.Handshake(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = here.Close() })
	return server
}

// What operators' questions cost with 200 000 live sessions.
func BenchmarkInventory(b *testing.B) {
	const full = 200_000
	s := crowd(b, full)
	beforeLast := s.Newest(101)[100].ID
	for _, question := range []struct {
		name string
		ask  func() int
		want int
	}{
		{"first-100", func() int { return s.count(Filter{}, 0, 100) }, 100},
		{"last-100", func() int { return s.count(Filter{}, beforeLast, 100) }, 100},
		{"page-of-1000", func() int { return s.count(Filter{}, 0, 1000) }, 1000},
		{"by-owner", func() int { return s.count(Filter{Owner: "tenant:device199999"}, 0, 100) }, 1},
		{"by-address", func() int { return s.count(Filter{Address: netip.MustParsePrefix("10.3.13.63/32")}, 0, 100) }, 1},
		{"by-text", func() int { return s.count(Filter{Text: "Device199999"}, 0, 100) }, 1},
		{"newest-10", func() int { return len(s.Newest(10)) }, 10},
		{"owners", func() (n int) {
			for range s.Owners() {
				n++
			}
			return n
		}, full},
		{"scrape", func() int { s.cfg.Metrics.traffic.settleAll(); return 0 }, 0},
	} {
		b.Run(question.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := question.ask(); got != question.want {
					b.Fatalf("got %d, want %d", got, question.want)
				}
			}
		})
	}
}

func (s *Server) count(f Filter, after SessionID, limit int) int {
	page, _ := s.Sessions(f, after, limit)
	return len(page)
}
