// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/tlstest"
	"github.com/vernegate/vernegate/truststore/certtest"
)

var serverConfig = sync.OnceValue(func() *tls.Config {
	pair := certtest.NewCA("root").Issue("server", certtest.Server("localhost")).TLS()
	return &tls.Config{Certificates: []tls.Certificate{pair}}
})

// An upward is a pipe from a client that makes its own records to a broker, which nobody pumps but the test.
type upward struct {
	Pipe
	client *tlstest.Client
	broker net.Conn
}

func (*upward) PipeEnded(*Pipe, Result) {}
func (*upward) Linger(*Pipe) time.Time  { return time.Time{} }
func (*upward) Wake(*Pipe)              {}

func newUpward(t testing.TB, version uint16) *upward {
	t.Helper()
	u := new(upward)
	clientSide, serverSide := sockets(t)
	toBroker, broker := sockets(t)
	src, dst := new(Conn), new(Conn)
	src.Open(serverSide)
	dst.Open(toBroker)
	server := tls.Server(src, serverConfig())
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	var err error
	if u.client, err = tlstest.New(clientSide, &tls.Config{InsecureSkipVerify: true}, version); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	u.broker = broker
	u.Connect(End{Conn: src, TLS: server}, End{Conn: dst}, u)
	shrink(server)
	return u
}

// wait pumps as soon as there is something to read.
func (u *upward) wait(s *scratch) (r Result) {
	if err := u.flush(); err != nil {
		return Result{Cause: DestinationFailed, Err: err}
	}
	if err := u.src.raw.Read(func(uintptr) bool { r = u.pump(s); return !r.dry || r.stalled }); err != nil {
		return Result{Cause: SourceEnded, Err: err}
	}
	return r
}

// sockets returns two connected sockets.
func sockets(t testing.TB) (a, b net.Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "socket")
		defer func() { _ = file.Close() }()
		if ends[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ends[i].Close() })
	}
	return ends[0], ends[1]
}

// FuzzRecords sends records of any size and type, cut anywhere, and wants the same bytes at the broker, in a bounded number
// of pumps, and the end that crypto/tls gives such a client. Each byte of script is a record: one below 200 is one of
// application data, of some size; the others carry none.
func FuzzRecords(f *testing.F) {
	f.Add(false, uint16(1), []byte{0, 1, 250, 199, 220, 220, 255, 3})
	f.Add(true, uint16(100), []byte{0, 1, 250, 199, 220, 220, 230, 3})
	f.Add(false, uint16(40000), bytes.Repeat([]byte{199, 230}, 40))
	f.Add(false, uint16(5), bytes.Repeat([]byte{240}, 20))
	f.Add(false, uint16(9000), bytes.Repeat([]byte{2, 200}, 300))
	f.Fuzz(func(t *testing.T, old bool, cut uint16, script []byte) {
		version := uint16(tls.VersionTLS13)
		if old {
			version = tls.VersionTLS12
		}
		u := newUpward(t, version)
		wire, sent, flood := compose(u.client, old, script[:min(len(script), 600)])
		piece := max(1+int(cut), len(wire)/1000)
		go u.sendInPieces(wire, piece)
		received := make(chan []byte, 1)
		go func() {
			all, _ := io.ReadAll(u.broker)
			received <- all
		}()

		var r Result
		pumps := 0
		for s := newScratch(); r.Cause == None; pumps++ {
			r = u.wait(s)
		}
		if err := u.flush(); err != nil {
			t.Fatal(err)
		}
		_ = u.dst.NetConn().(*net.UnixConn).CloseWrite()
		got := <-received
		// A pump reads at least a piece, or what is left of one, or decrypts maxRecords.
		if most := 10 + 2*len(wire)/piece + len(script); pumps > most {
			t.Errorf("took %d pumps for %d bytes in %d records, want %d at most", pumps, len(wire), len(script), most)
		}
		switch {
		case flood && (r.Err == io.EOF || !bytes.HasPrefix(sent, got)):
			t.Errorf("got %v and %d bytes, want an error behind those that came before the flood", r.Err, len(got))
		case !flood && (r.Err != io.EOF || !bytes.Equal(got, sent)):
			t.Errorf("got %v and %d bytes, want an orderly end and all %d as they were sent", r.Err, len(got), len(sent))
		}
	})
}

func (u *upward) sendInPieces(wire []byte, size int) {
	for rest := wire; len(rest) > 0; {
		n := min(len(rest), size)
		_, _ = u.client.Raw.Write(rest[:n])
		rest = rest[n:]
	}
	_ = u.client.Raw.(*net.UnixConn).CloseWrite()
	_, _ = io.Copy(io.Discard, u.client.Raw)
}

// mostUseless is how many records without data crypto/tls takes in a row.
const mostUseless = 16

// compose makes records, and returns the bytes that they carry: whole PUBLISH packets. flood reports whether there are more
// than mostUseless records without data in a row.
func compose(c *tlstest.Client, old bool, script []byte) (wire, sent []byte, flood bool) {
	row := 0
	for i, step := range script {
		if step < 200 {
			row = 0
			data := publish(int(step)*int(step)*2/5, byte(i))
			sent = append(sent, data...)
			wire = append(wire, c.Record(tlstest.Application, data)...)
			continue
		}
		row++
		flood = flood || row > mostUseless
		switch {
		case step < 220:
			wire = append(wire, c.Record(tlstest.Application, nil)...)
		case old:
			wire = append(wire, c.Record(tlstest.Alert, tlstest.NoRenegotiation)...)
		case step < 235:
			wire = append(wire, c.Update(tlstest.KeyUpdate)...)
		case step < 250:
			wire = append(wire, c.Update(tlstest.MutualKeyUpdate)...)
		default:
			wire = append(wire, c.Record(tlstest.Alert, tlstest.UserCanceled)...)
		}
	}
	return append(wire, c.Record(tlstest.Alert, tlstest.CloseNotify)...), sent, flood
}

// publish returns a packet with a body of some size below 16 KiB.
func publish(size int, fill byte) []byte {
	header := []byte{0x30, byte(size) | 0x80, byte(size>>7) | 0x80, byte(size >> 14)}
	return append(header, bytes.Repeat([]byte{fill}, size)...)
}

// One pump is bounded in records, however many the client sends at once.
func TestPumpIsBounded(t *testing.T) {
	t.Parallel()
	u := newUpward(t, tls.VersionTLS13)
	const records = 4 * maxRecords
	var wire []byte
	for range records {
		wire = append(wire, u.client.Record(tlstest.Application, []byte{0xc0, 0})...)
	}
	go func() { _, _ = u.client.Raw.Write(wire) }()
	go func() { _, _ = io.Copy(io.Discard, u.broker) }()
	u.wantBoundedPumps(t, records, maxRecords)
}

// wantBoundedPumps pumps until some packets are carried, and wants no pump to carry more than most.
func (u *upward) wantBoundedPumps(t *testing.T, packets, most uint64) {
	t.Helper()
	before := uint64(0)
	for s := newScratch(); before < packets; {
		if r := u.wait(s); r.Cause != None {
			t.Fatal(r)
		}
		_, now := u.Carried()
		if now-before > most {
			t.Fatalf("one pump carried %d packets, want %d at most", now-before, most)
		}
		before = now
	}
}

// A handshake message that never ends is not kept.
func TestEndlessPostHandshakeMessageEnds(t *testing.T) {
	t.Parallel()
	if !feedsRecords {
		t.Skip("in the portable build crypto/tls bounds it, at 64 KiB")
	}
	u := newUpward(t, tls.VersionTLS13)
	wire := u.client.Record(tlstest.Handshake, []byte{24, 0, 0xff, 0xff})
	wire = append(wire, u.client.Record(tlstest.Handshake, make([]byte, maxPostHandshake))...)
	go func() { _, _ = u.client.Raw.Write(wire) }()
	if r := u.carry(); r.Cause != SourceEnded || r.Err != errPostHandshake {
		t.Errorf("got %v, want %v", r, errPostHandshake)
	}
}

// A pump is bounded in what KeyUpdates take, which is many times what small records do.
func TestPumpIsBoundedInKeyUpdates(t *testing.T) {
	t.Parallel()
	if !feedsRecords {
		t.Skip("in the portable build crypto/tls reads by itself, on a goroutine of the client's own")
	}
	u := newUpward(t, tls.VersionTLS13)
	const rounds, most = 200, maxRecords / updateCost
	var wire []byte
	for range rounds {
		wire = append(wire, u.client.Update(tlstest.MutualKeyUpdate)...)
		wire = append(wire, u.client.Record(tlstest.Application, []byte{0xc0, 0})...)
	}
	go func() { _, _ = u.client.Raw.Write(wire) }()
	go func() { _, _ = io.Copy(io.Discard, u.client.Raw) }()
	go func() { _, _ = io.Copy(io.Discard, u.broker) }()
	u.wantBoundedPumps(t, rounds, most)
}

// What a client sent before it went away is carried on, but what answers it is not kept.
func TestAnswersToADeadClientAreDropped(t *testing.T) {
	t.Parallel()
	u := newUpward(t, tls.VersionTLS13)
	const rounds = 20_000
	var wire []byte
	for range rounds {
		wire = append(wire, u.client.Update(tlstest.MutualKeyUpdate)...)
		wire = append(wire, u.client.Record(tlstest.Application, []byte{0xc0, 0})...)
	}
	if err := u.client.Raw.(*net.UnixConn).CloseRead(); err != nil { // what is written to the client fails
		t.Fatal(err)
	}
	go u.sendInPieces(wire, len(wire))
	go func() { _, _ = io.Copy(io.Discard, u.broker) }()
	var r Result
	for s := newScratch(); r.Cause == None; {
		r = u.wait(s)
		if kept := len(u.src.out); kept > wireSize {
			t.Fatalf("%d bytes are kept for a client that takes nothing any more", kept)
		}
	}
	if _, packets := u.Carried(); packets != rounds {
		t.Errorf("carried %d packets of %d: %v", packets, rounds, r.Err)
	}
	if err := u.src.Flush(); err == nil {
		t.Error("the other direction does not learn that the client is gone")
	}
}
