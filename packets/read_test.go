// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/vernegate/vernegate/packets"
)

// A strictReader holds one packet. It objects to being asked for a byte behind
// it, and to a buffer larger than what has arrived allows.
type strictReader struct {
	t      testing.TB
	packet []byte
	at     int
	chunk  int // bytes a Read returns at most
}

func (r *strictReader) Read(p []byte) (int, error) {
	if left := len(r.packet) - r.at; len(p) > left {
		r.t.Errorf("asked for %d bytes after %d of %d", len(p), r.at, len(r.packet))
	}
	if size := r.at + cap(p); size > max(1024, 2*r.at) {
		r.t.Errorf("buffer of %d bytes after %d have arrived", size, r.at)
	}
	if r.at == len(r.packet) {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.chunk)], r.packet[r.at:])
	r.at += n
	return n, nil
}

// noMore fails the test when it is read from.
type noMore struct{ t testing.TB }

func (r noMore) Read([]byte) (int, error) {
	r.t.Error("read on")
	return 0, io.EOF
}

// large returns an accepted CONNECT of about n bytes.
func large(n int) []byte {
	c := full5()
	for ; n > 0; n -= 1000 {
		c.properties += "\x26" + string(field(field(nil, "k"), strings.Repeat("v", 994)))
	}
	return c.bytes()
}

func TestReadConnectTakesOnePacketInAnyChunks(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{full31().bytes(), full311().bytes(), full5().bytes(), large(300), large(5000), large(100_000)} {
		for _, chunk := range []int{1, 2, 3, 7, 255, 256, 257, len(b)} {
			c, err := packets.ReadConnect(&strictReader{t: t, packet: b, chunk: chunk}, limit)
			if err != nil {
				t.Fatalf("%d bytes in chunks of %d: %v", len(b), chunk, err)
			}
			if got, want := describe(c), describe(mustRead(t, b)); got != want {
				t.Errorf("%d bytes in chunks of %d: got\n%s\nwant\n%s", len(b), chunk, got, want)
			}
		}
	}
}

func TestReadConnectTakesNothingBehindAnEmptyPacket(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"\x10\x00", "\x10\x80\x00", "\x10\x80\x80\x00", "\x10\x80\x80\x80\x00"} {
		_, err := packets.ReadConnect(&strictReader{t: t, packet: []byte(s), chunk: len(s)}, limit)
		if !errors.Is(err, packets.ErrMalformed) {
			t.Errorf("%x: got %v, want %v", s, err, packets.ErrMalformed)
		}
	}
}

func TestReadConnectLeavesWhatFollows(t *testing.T) {
	t.Parallel()
	const pipelined = "\x82\x06\x00\x01\x00\x01a\x00"
	r := bytes.NewReader(append(full311().bytes(), pipelined...))
	if _, err := packets.ReadConnect(r, limit); err != nil {
		t.Fatal(err)
	}
	if rest, _ := io.ReadAll(r); string(rest) != pipelined {
		t.Errorf("left %x, want %x", rest, pipelined)
	}
}

func TestReadConnectTakesDataThatComesWithTheEnd(t *testing.T) {
	t.Parallel()
	r := iotest.DataErrReader(bytes.NewReader(full311().bytes()))
	if _, err := packets.ReadConnect(r, limit); err != nil {
		t.Fatal(err)
	}
}

func TestReadConnectRefusesStrangersByTheByteThatShowsThem(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		sent    string
		kind    error
		version packets.Version
		clause  string
	}{
		"HTTP":                     {"G", packets.ErrNotMQTT, 0, "MQTT-3.1.0-1"},
		"TLS":                      {"\x16", packets.ErrMalformed, 0, "MQTT-2.1.3-1"},
		"PUBLISH":                  {"\x30", packets.ErrNotMQTT, 0, "MQTT-3.1.0-1"},
		"CONNACK":                  {"\x20", packets.ErrNotMQTT, 0, "MQTT-3.1.0-1"},
		"CONNECT with DUP":         {"\x18", packets.ErrMalformed, 0, "MQTT-2.1.3-1"},
		"CONNECT with RETAIN":      {"\x11", packets.ErrMalformed, 0, "MQTT-2.1.3-1"},
		"endless remaining length": {"\x10\x80\x80\x80\x80", packets.ErrMalformed, 0, "1.5.5"},
		"name of 256 bytes":        {"\x10\x7f\x01", packets.ErrNotMQTT, 0, "MQTT-3.1.2-1"},
		"name of 5 bytes":          {"\x10\x7f\x00\x05", packets.ErrNotMQTT, 0, "MQTT-3.1.2-1"},
		"name MQtt":                {"\x10\x7f\x00\x04MQt", packets.ErrNotMQTT, 0, "MQTT-3.1.2-1"},
		"name MQIsDP":              {"\x10\x7f\x00\x06MQIsD", packets.ErrNotMQTT, 0, "MQTT-3.1.2-1"},
		"level 6":                  {"\x10\x7f\x00\x04MQTT\x06", packets.ErrVersion, packets.V5, "MQTT-3.1.2-2"},
		"level 3":                  {"\x10\x7f\x00\x04MQTT\x03", packets.ErrVersion, packets.V311, "MQTT-3.1.2-2"},
		"too large, 3.1":           {"\x10\xff\xff\xff\x7f\x00\x06MQIsdp\x03", packets.ErrTooLarge, packets.V31, ""},
		"too large, 3.1.1":         {"\x10\xff\xff\xff\x7f\x00\x04MQTT\x04", packets.ErrTooLarge, packets.V311, ""},
		"too large, 3.1.1 bridge":  {"\x10\xff\xff\xff\x7f\x00\x04MQTT\x84", packets.ErrTooLarge, packets.V311, ""},
		"too large, 5.0":           {"\x10\xff\xff\xff\x7f\x00\x04MQTT\x05", packets.ErrTooLarge, packets.V5, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := range len(tt.sent) {
				_, err := read([]byte(tt.sent[:n]))
				if errors.As(err, new(*packets.ConnectError)) {
					t.Errorf("refused after %d bytes: %v", n, err)
				}
			}
			_, err := packets.ReadConnect(io.MultiReader(strings.NewReader(tt.sent), noMore{t}), limit)
			got, ok := errors.AsType[*packets.ConnectError](err)
			if !ok || got.Kind != tt.kind || got.Version != tt.version || got.Clause != tt.clause {
				t.Errorf("got %#v, want kind %q, version %v, clause %q", err, tt.kind, tt.version, tt.clause)
			}
		})
	}
}

func TestReadConnectKeepsToMaxSize(t *testing.T) {
	t.Parallel()
	for _, c := range []connect{full31(), full311(), full5()} {
		b := c.bytes()
		if _, err := packets.ReadConnect(bytes.NewReader(b), len(b)); err != nil {
			t.Errorf("level %d, as large as allowed: %v", c.level, err)
		}
		_, err := packets.ReadConnect(bytes.NewReader(b), len(b)-1)
		got, ok := errors.AsType[*packets.ConnectError](err)
		if !ok || got.Kind != packets.ErrTooLarge || got.Version != packets.Version(c.level) {
			t.Errorf("level %d, one byte larger: %v", c.level, err)
		}
	}
}

func TestReadConnectPassesReadErrors(t *testing.T) {
	t.Parallel()
	b := full311().bytes()
	if _, err := read(nil); !errors.Is(err, io.EOF) {
		t.Errorf("nothing sent: got %v, want %v", err, io.EOF)
	}
	for n := 1; n < len(b); n++ {
		if _, err := read(b[:n]); !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			t.Errorf("%d bytes sent: got %v, want %v", n, err, io.ErrUnexpectedEOF)
		}
	}

	broken := errors.New("broken")
	r := io.MultiReader(bytes.NewReader(b[:5]), iotest.ErrReader(broken))
	_, err := packets.ReadConnect(r, limit)
	if got, want := fmt.Sprint(err), "reading CONNECT: broken"; got != want || !errors.Is(err, broken) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadConnectShowsTimeouts(t *testing.T) {
	t.Parallel()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	if err := server.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}

	_, err := packets.ReadConnect(server, limit)
	timeout, ok := errors.AsType[net.Error](err)
	if !ok || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want %v", err, os.ErrDeadlineExceeded)
	}
}

// Not parallel: it counts what the whole process allocates.
func TestReadConnectAllocatesByWhatHasArrived(t *testing.T) {
	sent := []byte("\x10\xff\xff\xff\x7f" + "\x00\x04MQTT\x05\x02\x00\x3c\xf0\xff\xff\x7f") // and 256 MiB more, says the client
	for _, arrived := range []int{len(sent), 1000, 100_000} {
		b := append(sent[:len(sent):len(sent)], make([]byte, arrived-len(sent))...)
		got := allocated(func() {
			_, err := packets.ReadConnect(bytes.NewReader(b), 1<<30)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
			}
		})
		// Buffers of half the size came before the last one.
		if most := uint64(2*2*arrived + 4096); got > most {
			t.Errorf("%d bytes allocated for %d that arrived, want at most %d", got, arrived, most)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
