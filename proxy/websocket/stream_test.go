// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package websocket_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/proxy/websocket"
)

// Opcodes, with the bit that says that a frame is the last one of its message.
const (
	final        = 0x80
	continuation = 0x0
	text         = 0x1
	binaryFrame  = 0x2
	closeFrame   = 0x8
	ping         = 0x9
	pong         = 0xA
)

// frame is a frame as a client sends it (RFC 6455 §5.2): masked.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := []byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

// fromServer is a frame as a server sends it.
func fromServer(first byte, payload string) string {
	if len(payload) <= 125 {
		return string([]byte{first, byte(len(payload))}) + payload
	}
	return string(binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(len(payload)))) + payload
}

// A line is a stream with what it has sent since its upgrade.
type line struct {
	*websocket.Stream
	sent bytes.Buffer
}

// open upgrades a connection on which the client has sent more already.
func open(t testing.TB, more []byte) *line {
	t.Helper()
	l := &line{}
	var err error
	if l.Stream, err = endpoint.Accept(io.MultiReader(strings.NewReader(request(get)), bytes.NewReader(more)), &l.sent); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Release)
	l.sent.Reset()
	return l
}

// decode has l decode b in place, in pieces of a size, as relay does.
func (l *line) decode(t testing.TB, b []byte, size int) (mqtt []byte, err error) {
	t.Helper()
	room := make([]byte, max(size, len(b)))
	for piece := range slices.Chunk(b, size) {
		n, err := l.Decode(room, room[:copy(room, piece)])
		mqtt = append(mqtt, room[:n]...)
		for err == nil && l.Pending() {
			n, err = l.Decode(room, nil)
			mqtt = append(mqtt, room[:n]...)
		}
		if err != nil {
			return mqtt, err
		}
	}
	return mqtt, nil
}

// conversations are what clients send, and what comes of it.
var conversations = map[string]struct {
	send []byte
	mqtt string
	code int // of a *FrameError, 0 = none
	end  int // of a *ClosedError, 0 = none
	sent string
}{
	"one message":        {send: frame(final|binaryFrame, "abc"), mqtt: "abc"},
	"two messages":       {send: slices.Concat(frame(final|binaryFrame, "abc"), frame(final|binaryFrame, "def")), mqtt: "abcdef"},
	"a large message":    {send: frame(final|binaryFrame, strings.Repeat("x", 70_000)), mqtt: strings.Repeat("x", 70_000)},
	"an empty message":   {send: slices.Concat(frame(final|binaryFrame, ""), frame(final|binaryFrame, "a")), mqtt: "a"},
	"a split message":    {send: slices.Concat(frame(binaryFrame, "ab"), frame(continuation, ""), frame(continuation, "c"), frame(final|continuation, "d")), mqtt: "abcd"},
	"an empty last part": {send: slices.Concat(frame(binaryFrame, "ab"), frame(final|continuation, ""), frame(final|binaryFrame, "c")), mqtt: "abc"},
	"a ping":             {send: frame(final|ping, "hello"), sent: fromServer(final|pong, "hello")},
	"a large ping":       {send: frame(final|ping, strings.Repeat("p", 125)), sent: fromServer(final|pong, strings.Repeat("p", 125))},
	"a ping inside": {
		send: slices.Concat(frame(binaryFrame, "ab"), frame(final|ping, ""), frame(final|continuation, "c")),
		mqtt: "abc", sent: fromServer(final|pong, ""),
	},
	"an unasked pong": {send: slices.Concat(frame(final|pong, "x"), frame(final|binaryFrame, "a")), mqtt: "a"},
	"close": {
		send: slices.Concat(frame(final|binaryFrame, "a"), frame(final|closeFrame, "\x03\xe8bye")), mqtt: "a",
		end: 1000, sent: fromServer(final|closeFrame, "\x03\xe8bye"),
	},
	"close without a code": {send: frame(final|closeFrame, ""), end: 1005, sent: fromServer(final|closeFrame, "")},
	"bytes behind close":   {send: slices.Concat(frame(final|closeFrame, "\x03\xe9"), frame(final|binaryFrame, "a")), end: 1001, sent: fromServer(final|closeFrame, "\x03\xe9")},

	"text":                        {send: frame(final|text, "abc"), code: 1003},
	"text behind a message":       {send: slices.Concat(frame(final|binaryFrame, "a"), frame(final|text, "b")), mqtt: "a", code: 1003},
	"not masked":                  {send: []byte("\x82\x03abc"), code: 1002},
	"a control frame not masked":  {send: []byte("\x89\x00"), code: 1002},
	"a continuation of nothing":   {send: frame(final|continuation, "a"), code: 1002},
	"a message inside a message":  {send: slices.Concat(frame(binaryFrame, "a"), frame(final|binaryFrame, "b")), mqtt: "a", code: 1002},
	"reserved bit 1, compression": {send: frame(final|0x40|binaryFrame, "a"), code: 1002},
	"reserved bit 2":              {send: frame(final|0x20|binaryFrame, "a"), code: 1002},
	"reserved bit 3":              {send: frame(final|0x10|ping, "a"), code: 1002},
	"reserved opcode":             {send: frame(final|0x3, "a"), code: 1002},
	"reserved control opcode":     {send: frame(final|0xB, "a"), code: 1002},
	"a control frame in parts":    {send: frame(ping, "a"), code: 1002},
	"a control frame too long":    {send: frame(final|ping, strings.Repeat("x", 126)), code: 1002},
	"a close code of one byte":    {send: frame(final|closeFrame, "\x03"), code: 1002},
	"a reserved close code":       {send: frame(final|closeFrame, "\x03\xed"), code: 1002},
	"a frame too large":           {send: []byte("\x82\xff\x00\x00\x00\x00\x10\x00\x00\x05\x01\x02\x03\x04"), code: 1009},
	"a length below zero":         {send: []byte("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x03\x04"), code: 1009},
}

func TestConversations(t *testing.T) {
	t.Parallel()
	for name, test := range conversations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{1, 2, 3, 5, 7, 13, 100, 1 << 20} {
				if size < 100 && len(test.send) > 10_000 {
					continue
				}
				l := open(t, nil)
				mqtt, err := l.decode(t, test.send, size)
				if string(mqtt) != test.mqtt {
					t.Errorf("in pieces of %d: got %q, want %q", size, mqtt, test.mqtt)
				}
				var broken *websocket.FrameError
				var closed *websocket.ClosedError
				errors.As(err, &broken)
				errors.As(err, &closed)
				switch {
				case test.code != 0 && (broken == nil || broken.Code != test.code):
					t.Errorf("in pieces of %d: got %v, want code %d", size, err, test.code)
				case test.end != 0 && (closed == nil || closed.Code != test.end):
					t.Errorf("in pieces of %d: got %v, want the client's close frame %d", size, err, test.end)
				case test.code == 0 && test.end == 0 && err != nil:
					t.Errorf("in pieces of %d: %v", size, err)
				}
				if test.code != 0 {
					l.Close(1000)
					if sent := l.sent.String(); len(sent) < 4 || sent[0] != final|closeFrame || int(binary.BigEndian.Uint16([]byte(sent[2:]))) != test.code {
						t.Errorf("in pieces of %d: sent % x, want a close frame with %d", size, sent, test.code)
					}
					continue
				}
				if l.sent.String() != test.sent {
					t.Errorf("in pieces of %d: sent % x, want % x", size, l.sent.String(), test.sent)
				}
			}
		})
	}
}

// What a client sends together with its request, and the bytes behind what Read has taken, are not lost.
func TestReadLeavesTheRestToDecode(t *testing.T) {
	t.Parallel()
	l := open(t, slices.Concat(frame(final|binaryFrame, "ab"), frame(final|ping, "!"), frame(final|binaryFrame, "cdef")))
	got := make([]byte, 3)
	if n, err := io.ReadFull(l, got); err != nil || string(got) != "abc" {
		t.Fatalf("got %q and %v, want abc", got[:n], err)
	}
	if !l.Pending() {
		t.Error("the rest is not pending")
	}
	room := make([]byte, 10)
	if n, err := l.Decode(room, nil); err != nil || string(room[:n]) != "def" {
		t.Errorf("got %q and %v, want def", room[:n], err)
	}
	if l.Pending() {
		t.Error("something is pending behind the end")
	}
	if _, err := l.Read(got); err != io.EOF {
		t.Errorf("got %v, want the end of the source", err)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	l := open(t, nil)
	for _, size := range []int{1, 125, 126, 5000} {
		message := strings.Repeat("m", size)
		l.sent.Reset()
		if n, err := l.Write([]byte(message)); n != size || err != nil {
			t.Fatalf("got %d and %v, want %d", n, err, size)
		}
		if got := l.sent.String(); got != fromServer(final|binaryFrame, message) {
			t.Errorf("%d bytes: got % .40x", size, got)
		}
	}
}

// After a close frame nothing is sent any more (RFC 6455 §5.5.1).
func TestNothingFollowsAClose(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*line){
		"of ours":       func(l *line) { l.Close(1001) },
		"of the client": func(l *line) { _, _ = l.Decode(make([]byte, 10), frame(final|closeFrame, "\x03\xe9")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := open(t, nil)
			end(l)
			if _, err := l.Write([]byte("late")); err == nil {
				t.Error("a message was written behind the close frame")
			}
			l.Close(1000)
			if got := l.sent.String(); got != fromServer(final|closeFrame, "\x03\xe9") {
				t.Errorf("sent % x, want one close frame with 1001", got)
			}
		})
	}
}

// A flood of frames that carry nothing is dealt with in portions, and costs no memory that stays.
func TestFloodIsDecodedInPortions(t *testing.T) {
	t.Parallel()
	l := open(t, nil)
	room := make([]byte, 128<<10)
	flood := bytes.Repeat(frame(final|ping, ""), 10_000)
	decodes := 0
	n, err := l.Decode(room, flood)
	for ; err == nil && l.Pending(); decodes++ {
		n, err = l.Decode(room, nil)
	}
	if n != 0 || err != nil {
		t.Fatalf("got %d bytes and %v", n, err)
	}
	if decodes < 50 {
		t.Errorf("10 000 pings were dealt with in %d portions", decodes)
	}
	if got, want := l.sent.Len(), 10_000*2; got != want {
		t.Errorf("got %d bytes of pongs, want %d", got, want)
	}
}

// FuzzDecode sends the same bytes whole and in pieces: the result is the same, is no longer than what came, and what is sent
// are whole frames of a server.
func FuzzDecode(f *testing.F) {
	for _, c := range conversations {
		if len(c.send) < 1000 {
			f.Add(c.send, uint8(3))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		whole, pieces := open(t, nil), open(t, nil)
		got, err := whole.decode(t, b, max(1, len(b)))
		gotPieces, errPieces := pieces.decode(t, b, 1+int(size))
		if !bytes.Equal(got, gotPieces) || textOf(err) != textOf(errPieces) {
			t.Errorf("whole %q and %v, in pieces %q and %v", got, err, gotPieces, errPieces)
		}
		if !bytes.Equal(whole.sent.Bytes(), pieces.sent.Bytes()) {
			t.Errorf("whole, % x was sent, in pieces % x", whole.sent.Bytes(), pieces.sent.Bytes())
		}
		if len(got) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(got))
		}
		whole.Close(1000)
		wantFrames(t, whole.sent.Bytes())
	})
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// wantFrames wants whole control frames, of which the last and no other closes.
func wantFrames(t *testing.T, b []byte) {
	t.Helper()
	for len(b) > 0 {
		if len(b) < 2 || b[1] > 125 || len(b) < 2+int(b[1]) {
			t.Fatalf("% x is no whole control frame", b)
		}
		switch first, rest := b[0], b[2+int(b[1]):]; {
		case first == final|closeFrame && len(rest) > 0:
			t.Fatalf("% x follows a close frame", rest)
		case first != final|closeFrame && first != final|pong:
			t.Fatalf("sent frame %x", first)
		default:
			b = rest
		}
	}
}

// FuzzMessages cuts messages into frames, with pings between them: what comes out is what went in.
func FuzzMessages(f *testing.F) {
	f.Add([]byte("hello, this is carried"), []byte{1, 130, 3, 0, 255, 7})
	f.Fuzz(func(t *testing.T, mqtt, cuts []byte) {
		l := open(t, nil)
		var wire []byte
		rest, opcode := string(mqtt), byte(binaryFrame)
		for _, cut := range cuts {
			size := min(len(rest), int(cut&0x3F))
			first := opcode
			opcode = continuation
			if cut&0x80 != 0 {
				first |= final
				opcode = binaryFrame
			}
			wire = append(wire, frame(first, rest[:size])...)
			rest = rest[size:]
			if cut&0x40 != 0 {
				wire = append(wire, frame(final|ping, "p")...)
			}
		}
		wire = append(wire, frame(final|opcode, rest)...)
		got, err := l.decode(t, wire, 1+len(cuts))
		if err != nil || !bytes.Equal(got, mqtt) {
			t.Errorf("got %q and %v, want %q", got, err, mqtt)
		}
	})
}
