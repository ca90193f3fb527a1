// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/internal/dial"
	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/proxy/listen"
	"github.com/vernegate/vernegate/proxy/relay"
)

const (
	// replyBuffer is read at once from a broker that has got a CONNECT: its CONNACK, and often what follows.
	replyBuffer = 512
	// maxReply bounds the broker's first packet. It is the broker's own, so this only stops nonsense.
	maxReply = 256 << 10
	// maxBrokerRecord is what TLS allows (RFC 8446 §5.1): brokers have room for it.
	maxBrokerRecord = 16 << 10
)

// A Lease is what a session holds of the brokers: it chooses them, and is told what became of each. Its methods are
// called from one goroutine at a time.
type Lease interface {
	// Next moves on to another broker and returns its address, as in package dial; false when there is none that the lease did
	// not have before. The session counts on that broker until the next call of Next or Release.
	Next() (addr string, ok bool)
	// What became of the broker that Next returned last.
	Succeeded(accepted bool)   // with a CONNACK, which accepts this client or refuses it, or with an AUTH
	Unreachable(err error)     // by TCP
	HandshakeFailed(err error) // of TLS: one side does not trust the other, or the broker speaks no TLS
	Silent()                   // for ConnackTimeout after the CONNECT
	Unavailable()              // says the broker's CONNACK
	HungUp(err error)          // without an answer, or with one that is not MQTT: the CONNECT may be to blame
	// Dropped is called before Release if the broker has ended the session, at that time, although neither side has sent a
	// DISCONNECT. The client may have kept what is left of the session for much longer.
	Dropped(at time.Time)
	// Release is called when the session ends.
	Release()
}

// backends connect sessions to brokers.
type backends struct {
	dialTimeout    time.Duration
	connackTimeout time.Duration
	proxyProtocol  byte                          // version of the PROXY header that brokers get; 0 = none
	tls            func(addr string) *tls.Config // nil = plain TCP
	dialer         *dial.Dialer
}

func newBackends(cfg *Config) *backends {
	return &backends{
		dialTimeout:    cfg.DialTimeout,
		connackTimeout: cfg.ConnackTimeout,
		proxyProtocol:  cfg.BackendProxyProtocol,
		tls:            cfg.BackendTLS,
		dialer:         dial.New(listen.KeepAlive()),
	}
}

// A greeting is what a broker gets first.
type greeting struct {
	// header is the PROXY header; nil = none. With TLS it comes in front of TLS, as HAProxy sends it to servers with
	// "send-proxy ssl". Else the two go out in one write, and so in one segment up to the header's end, as VerneMQ wants it.
	header  []byte
	connect []byte
}

// A brokerConn is a connection to a broker that has answered a CONNECT.
type brokerConn struct {
	link  brokerLink // the caller closes it
	addr  string     // as the lease named it
	reply *packets.FirstPacket
	rest  []byte // what came behind the reply already
}

// A brokerLink is a connection to a broker, and TLS over it if the broker speaks that.
type brokerLink struct {
	conn *relay.Conn
	tls  *tls.Conn // over conn; nil = plain TCP
}

// stream is what carries MQTT.
func (l brokerLink) stream() net.Conn {
	if l.tls != nil {
		return l.tls
	}
	return l.conn
}

// end is the side of a session that the link is.
func (l brokerLink) end() relay.End {
	return relay.End{Conn: l.conn, TLS: l.tls, Record: maxBrokerRecord}
}

// open sends a CONNECT to one broker after the other, as lease names them, until one has answered, be it with a
// refusal.
// A broker without an answer has made no session out of the CONNECT, and neither has one that says it is unavailable
// (3 or 0x88), so that another one may get it.
//
// All of that is to happen while the client still waits for its CONNACK. So it takes no longer in sum than one broker
// may take at worst: dialTimeout and connackTimeout. Clients give up after 10 s to 30 s. One that has left gets a broker all
// the same, for what it has sent behind its CONNECT, as it may (3.1.1, 3.1.4; 5.0, 3.1.4). The error is an *endError.
func (b *backends) open(ctx context.Context, lease Lease, hello greeting, v packets.Version) (*brokerConn, error) {
	latest := time.Now().Add(b.dialTimeout + b.connackTimeout)
	var failed failures
	for ctx.Err() == nil && time.Now().Before(latest) {
		addr, ok := lease.Next()
		if !ok {
			break
		}
		conn, err := b.connect(ctx, latest, addr, hello, v)
		if err == nil {
			lease.Succeeded(connackOf(conn.reply).accepted())
			return conn, nil
		}
		failed.add(err)
		if ctx.Err() == nil && time.Now().Before(latest) { // else it was not given all of its time
			report(lease, err)
		}
	}
	if ctx.Err() != nil {
		return nil, because(Shutdown, context.Cause(ctx))
	}
	return nil, failed.end()
}

// report tells lease why the broker did not answer.
func report(lease Lease, err error) {
	var dial *dialError
	var handshake *handshakeError
	var unavailable *unavailableError
	switch {
	case errors.As(err, &dial):
		lease.Unreachable(dial.err)
	case errors.As(err, &handshake):
		lease.HandshakeFailed(handshake.err)
	case errors.As(err, &unavailable):
		lease.Unavailable()
	case errors.Is(err, errSilent):
		lease.Silent()
	default:
		lease.HungUp(err)
	}
}

// failures are what brokers did in place of answering.
type failures struct {
	errs   []error
	silent bool                 // one of them was
	reply  *packets.FirstPacket // of the last one that answered; nil = none did
}

func (f *failures) add(err error) {
	f.errs = append(f.errs, err)
	f.silent = f.silent || errors.Is(err, errSilent)
	if e := (*unavailableError)(nil); errors.As(err, &e) {
		f.reply = e.reply
	}
}

// end is what the client's session ends with, and with whose words: if a broker has spoken, with its own.
func (f *failures) end() *endError {
	end := because(BackendUnavailable, errors.Join(f.errs...))
	switch {
	case len(f.errs) == 0:
		end.err = errNoBackend
	case f.reply != nil:
		end.reply = f.reply
	case f.silent:
		end.reason = BackendSilent
	}
	return end
}

var (
	// errNoBackend is that no broker is known.
	errNoBackend = errors.New("no backend is known")
	// errSilent is a broker that took the CONNECT and did not answer in time.
	errSilent = errors.New("no CONNACK in time")
)

// A dialError is a broker that could not be reached.
type dialError struct{ err error }

func (e *dialError) Error() string { return "dialing broker: " + e.err.Error() }

// An unavailableError is a broker that answered that it is unavailable.
type unavailableError struct {
	addr  string
	reply *packets.FirstPacket
}

func (e *unavailableError) Error() string {
	return fmt.Sprintf("connecting to broker %s: it is unavailable", e.addr)
}

// A handshakeError is a broker with which TLS did not come about.
type handshakeError struct {
	addr string
	err  error
}

func (e *handshakeError) Error() string {
	return fmt.Sprintf("TLS handshake with broker %s: %v", e.addr, e.err)
}

func (e *handshakeError) Unwrap() error { return e.err }

// A hangUpError is a broker that ended the connection without an answer to the CONNECT. If it does so to every client, the
// two sides most likely disagree about the PROXY protocol or TLS, which neither can find out by asking.
type hangUpError struct {
	proxyProtocol byte // version of the header that it got; 0 = none
	tls           bool
	err           error
}

func (e *hangUpError) Error() string {
	if e.proxyProtocol != 0 {
		return fmt.Sprintf("hung up on the CONNECT without an answer; if on every one, it may not expect the PROXY header of VERNEGATE_BACKEND_PROXY_PROTOCOL=v%d (%v)", e.proxyProtocol, e.err)
	}
	expects := "it may expect a PROXY header, see VERNEGATE_BACKEND_PROXY_PROTOCOL"
	if !e.tls {
		expects += ", or TLS, see VERNEGATE_BACKEND_TLS"
	}
	return fmt.Sprintf("hung up on the CONNECT without an answer; if on every one, %s (%v)", expects, e.err)
}

func (e *hangUpError) Unwrap() error { return e.err }

// isUnavailable reports whether the broker cannot serve any client, and not only this one. With a netsplit all nodes of a
// VerneMQ cluster answer so, whatever their health page says.
func isUnavailable(reply *packets.FirstPacket, v packets.Version) bool {
	code := byte(packets.ReturnServerUnavailable)
	if v == packets.V5 {
		code = byte(packets.ReasonServerUnavailable)
	}
	return reply.Kind == packets.Connack && reply.Code == code
}

// connect dials one broker, sends it the CONNECT and reads the first packet of its answer. The CONNECT goes out
// alone: VerneMQ does not look at bytes that arrive together with it until more of them come.
func (b *backends) connect(ctx context.Context, latest time.Time, addr string, hello greeting, v packets.Version) (*brokerConn, error) {
	link, err := b.dial(ctx, latest, addr, hello.header)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = link.conn.SetDeadline(aLongTimeAgo) })
	defer stop()

	first := hello.connect
	if link.tls == nil && len(hello.header) > 0 {
		first = slices.Concat(hello.header, hello.connect)
	}
	r := bufio.NewReaderSize(link.stream(), replyBuffer)
	reply, err := exchange(ctx, link.stream(), r, first, v, earlier(latest, time.Now().Add(b.connackTimeout)))
	if err != nil {
		_ = link.conn.Close()
		return nil, b.unanswered(addr, err)
	}
	if isUnavailable(reply, v) {
		_ = link.conn.Close()
		return nil, &unavailableError{addr, reply}
	}
	rest, _ := r.Peek(r.Buffered())
	return &brokerConn{link, addr, reply, rest}, nil
}

// unanswered says what it means that the CONNECT was not answered.
func (b *backends) unanswered(addr string, err error) error {
	switch {
	case isAlert(err): // of TLS 1.3, in which a broker judges our certificate when our side is through the handshake
		return &handshakeError{addr, err}
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = errSilent
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		err = &hangUpError{b.proxyProtocol, b.tls != nil, err}
	}
	return fmt.Errorf("connecting to broker %s: %w", addr, err)
}

// isAlert reports whether an error is a TLS alert of the peer.
func isAlert(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// dial connects to a broker, with TLS if brokers speak it, in dialTimeout in all. header is written in front of TLS; without
// TLS it is left to the caller. The error is a *dialError or a *handshakeError.
func (b *backends) dial(ctx context.Context, latest time.Time, addr string, header []byte) (brokerLink, error) {
	ctx, cancel := context.WithDeadline(ctx, earlier(latest, time.Now().Add(b.dialTimeout)))
	defer cancel()
	conn, err := b.dialer.Dial(ctx, addr)
	if err != nil {
		return brokerLink{}, &dialError{err}
	}
	link := brokerLink{conn: new(relay.Conn)}
	link.conn.Open(conn)
	if b.tls == nil {
		return link, nil
	}
	link.tls = tls.Client(link.conn, b.tls(addr))
	if err := b.shakeHands(ctx, link, header); err != nil {
		_ = conn.Close()
		return brokerLink{}, &handshakeError{addr, err}
	}
	return link, nil
}

// shakeHands begins TLS.
func (b *backends) shakeHands(ctx context.Context, link brokerLink, header []byte) error {
	if len(header) > 0 {
		if _, err := link.conn.Write(header); err != nil { // fits into any socket's buffer
			return err
		}
	}
	err := link.tls.HandshakeContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("not done in time")
	}
	return dial.ExplainHandshake(link.tls, err, len(header) > 0)
}

// exchange writes the CONNECT and reads the first packet back, both before a deadline. When ctx ends, the caller sets one that
// has passed.
func exchange(ctx context.Context, conn net.Conn, r *bufio.Reader, connect []byte, v packets.Version, deadline time.Time) (*packets.FirstPacket, error) {
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if ctx.Err() != nil { // and the caller's deadline may be overwritten
		return nil, context.Cause(ctx)
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
