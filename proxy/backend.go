// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/packets"
)

const (
	// replyBuffer is read at once from a broker that has got a CONNECT: its CONNACK, and often what follows.
	replyBuffer = 512
	// maxReply bounds the broker's first packet. It is the broker's own, so this only stops nonsense.
	maxReply = 256 << 10
)

// backends are the brokers, taken in turn.
type backends struct {
	addrs          []string // host:port; a name is resolved for every dial
	dialTimeout    time.Duration
	connackTimeout time.Duration
	dialer         net.Dialer

	turn atomic.Uint32
}

// A greeting is a broker that has answered a CONNECT.
type greeting struct {
	conn  net.Conn // the caller closes it
	addr  string   // the backend, as configured
	reply *packets.FirstPacket
	rest  []byte // what came behind the reply already
}

// open sends connect to one broker after the other, beginning with the one whose turn it is, until one has
// answered, be it with a refusal. A broker without an answer has made no session out of the CONNECT, so that
// another one may get it. The error is an *endError.
func (b *backends) open(ctx context.Context, connect []byte, v packets.Version) (*greeting, error) {
	var failures []error
	reason := BackendUnavailable
	first := int(b.turn.Add(1) - 1)
	for i := range b.addrs {
		addr := b.addrs[(first+i)%len(b.addrs)]
		g, err := b.greet(ctx, addr, connect, v)
		switch {
		case err == nil:
			return g, nil
		case ctx.Err() != nil:
			return nil, because(Shutdown, context.Cause(ctx))
		case errors.Is(err, errSilent):
			reason = BackendSilent
		}
		failures = append(failures, err)
	}
	return nil, because(reason, errors.Join(failures...))
}

// errSilent is a broker that took the CONNECT and did not answer in time.
var errSilent = errors.New("no CONNACK in time")

// greet dials one broker, sends it the CONNECT and reads the first packet of its answer. The CONNECT goes out
// alone: VerneMQ does not look at bytes that arrive together with it until more of them come.
func (b *backends) greet(ctx context.Context, addr string, connect []byte, v packets.Version) (*greeting, error) {
	conn, err := b.dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("dialing broker: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(aLongTimeAgo) })
	defer stop()

	r := bufio.NewReaderSize(conn, replyBuffer)
	reply, err := exchange(conn, r, connect, v, b.connackTimeout)
	if err != nil {
		_ = conn.Close()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errSilent
		}
		return nil, fmt.Errorf("greeting broker %s: %w", addr, err)
	}
	rest, _ := r.Peek(r.Buffered())
	return &greeting{conn, addr, reply, rest}, nil
}

func (b *backends) dial(ctx context.Context, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, b.dialTimeout)
	defer cancel()
	return b.dialer.DialContext(ctx, "tcp", addr)
}

// exchange writes the CONNECT and reads the first packet back, both within timeout.
func exchange(conn net.Conn, r *bufio.Reader, connect []byte, v packets.Version, timeout time.Duration) (*packets.FirstPacket, error) {
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write(connect); err != nil {
		return nil, err
	}
	reply, err := packets.ReadFirstPacket(r, v, maxReply)
	if err != nil {
		return nil, err
	}
	return reply, conn.SetDeadline(time.Time{})
}
