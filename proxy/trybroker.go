// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/vernegate/vernegate/internal/dial"
	"github.com/vernegate/vernegate/packets"
)

// tryUsername is no owner's: a "/" is not allowed in one.
const tryUsername = "vernegate/check"

// TryBroker speaks MQTT to the broker at addr, an IP address and a port or a Unix socket as in package dial, as a session of
// 3.1.1 would: with the PROXY header, TLS and the timeouts of cfg, of which it uses nothing else. It has a clean session, a
// client id of its own and a username that no owner can have, and leaves with a DISCONNECT once its session has lasted for
// hold, which may be 0. It returns the code of the CONNACK, with which the broker may refuse this client alone; the error is
// what would keep any client from being served.
func TryBroker(ctx context.Context, cfg Config, addr string, hold time.Duration) (packets.ReturnCode, error) {
	cfg.setDefaults()
	header, err := tryHeader(cfg.BackendProxyProtocol, addr)
	if err != nil {
		return 0, err
	}
	hello := greeting{header, packets.AppendConnect(nil, "vernegate-check-"+rand.Text()[:8], tryUsername)}
	latest := time.Now().Add(cfg.DialTimeout + cfg.ConnackTimeout)
	broker, err := newBackends(&cfg).connect(ctx, latest, addr, hello, packets.V311)
	if err != nil {
		return 0, err
	}
	stream := broker.link.stream()
	defer func() { _ = stream.Close() }()
	if connackOf(broker.reply).accepted() {
		if err := stay(ctx, stream, hold); err != nil {
			return 0, fmt.Errorf("being a client of broker %s: %w", addr, err)
		}
		_, _ = stream.Write(packets.AppendLeave(nil)) // behind the CONNACK: VerneMQ would not read it before
	}
	return packets.ReturnCode(broker.reply.Code), nil
}

// stay waits for as long as a session has to last, or until ctx is done. The error is that it has not.
func stay(ctx context.Context, stream net.Conn, hold time.Duration) error {
	began := time.Now()
	_ = stream.SetReadDeadline(began.Add(hold))
	defer context.AfterFunc(ctx, func() { _ = stream.SetReadDeadline(aLongTimeAgo) })()
	_, err := io.Copy(io.Discard, stream)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("it ended the session after %v", time.Since(began).Round(time.Millisecond))
}

// tryHeader is a PROXY header as a session's, with the broker's address for that of the client, which does not exist: a
// LOCAL one may be taken for a health check, and answered with the end.
func tryHeader(version byte, addr string) ([]byte, error) {
	if version == 0 {
		return nil, nil
	}
	to, err := netip.ParseAddrPort(addr)
	switch {
	case dial.IsUnix(addr):
		to = netip.MustParseAddrPort("127.0.0.1:1883")
	case err != nil:
		return nil, err
	}
	broker := net.TCPAddrFromAddrPort(to)
	return proxyproto.HeaderProxyFromAddrs(version, broker, broker).Format()
}
