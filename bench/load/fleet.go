// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package load is what devices do to a proxy in the bench: connect, stay, send and receive. Loads count what they have
// achieved while they run, so that whoever measures chooses the moments; they end with their context.
package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/wire"
)

// patience is how long a device waits for what should take milliseconds.
const patience = 30 * time.Second

// openers is how many devices connect at the same time when all are to be there.
const openers = 16

// A Fleet is devices that connect to the same address. Its exported fields are read only once it is used.
type Fleet struct {
	Addr    string
	Devices []tls.Certificate // device n has the n-th, and begins again behind the last
	Version uint16            // of TLS; 0 = 1.3
	Plain   bool              // sessions are opened without TLS
	Resume  bool              // with the ticket of the connection before, once there is one
	From    netip.Addr        // where the devices connect from; the zero Addr = any

	full    atomic.Bool // tickets are not used, though there are some
	once    sync.Once
	configs []*tls.Config
}

// config is how the n-th device connects. It offers what OpenSSL 3.0 has, too, so that all proxies do the same work,
// and does not verify the proxy, whose certificate it could not mistake.
func (f *Fleet) config(n int) *tls.Config {
	f.once.Do(func() {
		version := f.Version
		if version == 0 {
			version = tls.VersionTLS13
		}
		for i := range f.Devices {
			c := &tls.Config{
				ServerName:         "localhost",
				InsecureSkipVerify: true,
				MinVersion:         version,
				MaxVersion:         version,
				CurvePreferences:   []tls.CurveID{tls.X25519, tls.CurveP256},
				CipherSuites: []uint16{
					tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
					tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
				},
				GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &f.Devices[i], nil },
				// as OpenSSL's clients, which send the largest record that there can be at once
				DynamicRecordSizingDisabled: true,
			}
			if f.Resume {
				c.ClientSessionCache = &tickets{tls.NewLRUClientSessionCache(1), &f.full}
			}
			f.configs = append(f.configs, c)
		}
	})
	return f.configs[n%len(f.configs)]
}

// SetFull has devices that could resume make full handshakes from now on, or no longer.
func (f *Fleet) SetFull(full bool) { f.full.Store(full) }

// tickets are those of one device, which are not used while full is set.
type tickets struct {
	tls.ClientSessionCache
	full *atomic.Bool
}

func (t *tickets) Get(key string) (*tls.ClientSessionState, bool) {
	if t.full.Load() {
		return nil, false
	}
	return t.ClientSessionCache.Get(key)
}

// Connect brings the n-th device in: TLS, CONNECT, CONNACK.
func (f *Fleet) Connect(n int) (*tls.Conn, error) {
	raw, err := f.dial()
	if err != nil {
		return nil, err
	}
	c := tls.Client(raw, f.config(n))
	return c, f.connectMQTT(c, n)
}

// connect is Connect, without TLS if the fleet has none.
func (f *Fleet) connect(n int) (net.Conn, error) {
	if !f.Plain {
		return f.Connect(n)
	}
	c, err := f.dial()
	if err != nil {
		return nil, err
	}
	return c, f.connectMQTT(c, n)
}

func (f *Fleet) dial() (net.Conn, error) {
	dialer := net.Dialer{Timeout: patience}
	if f.From.IsValid() {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.From, 0))
	}
	return dialer.Dial("tcp", f.Addr)
}

// connectMQTT closes the connection when it fails.
func (f *Fleet) connectMQTT(c net.Conn, n int) (err error) {
	defer func() {
		if err != nil {
			_ = c.Close() // in a state that nobody cares for
		}
	}()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write(wire.AppendConnect(nil, fmt.Sprintf("device-%d", n))); err != nil {
		return fmt.Errorf("connecting device %d: %w", n, err)
	}
	if err := expect(c, wire.Connack); err != nil {
		return fmt.Errorf("waiting for CONNACK as device %d: %w", n, err)
	}
	return c.SetDeadline(time.Time{})
}

// expect reads exactly want.
func expect(r io.Reader, want []byte) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("got % x, want % x", got, want)
	}
	return nil
}

// Sessions are devices that are connected.
type Sessions []net.Conn

// Open connects devices first to first+n-1 and returns them in that order.
func (f *Fleet) Open(first, n int) (Sessions, error) {
	all := make(Sessions, n)
	err := share(openers, n, func(i int) error {
		c, err := f.connect(first + i)
		if err == nil {
			all[i] = c
		}
		return err
	})
	if err != nil {
		all.Close()
		return nil, err
	}
	return all, nil
}

// Close ends the sessions without a DISCONNECT.
func (s Sessions) Close() {
	_ = share(openers, len(s), func(i int) error {
		if s[i] != nil {
			_ = s[i].Close() // a proxy that is gone has closed it already
		}
		return nil
	})
}

// Prime has each device send a message with a payload of that size, and take its echo.
func (s Sessions) Prime(size int) error {
	packet := wire.AppendPublish(nil, wire.Echo, make([]byte, size))
	return share(openers, len(s), func(i int) error {
		if err := s[i].SetDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		if _, err := s[i].Write(packet); err != nil {
			return fmt.Errorf("priming: %w", err)
		}
		if err := expect(s[i], packet); err != nil {
			return fmt.Errorf("priming: %w", err)
		}
		return s[i].SetDeadline(time.Time{})
	})
}

// share does tasks 0 to n-1 by so many workers, until one fails, and returns the errors.
func share(workers, n int, do func(i int) error) error {
	var (
		next    atomic.Int64
		failed  atomic.Bool
		working sync.WaitGroup
		errs    = make([]error, workers)
	)
	for w := range workers {
		working.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && !failed.Load(); i = int(next.Add(1)) - 1 {
				if errs[w] = do(i); errs[w] != nil {
					failed.Store(true)
				}
			}
		})
	}
	working.Wait()
	return errors.Join(errs...)
}
