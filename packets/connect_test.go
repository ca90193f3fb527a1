// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

// limit is a maxSize that no packet of these tests reaches unless it wants to.
const limit = 256 << 10

func read(b []byte) (*packets.Connect, error) {
	return packets.ReadConnect(bytes.NewReader(b), limit)
}

func mustRead(t *testing.T, b []byte) *packets.Connect {
	t.Helper()
	c, err := read(b)
	if err != nil {
		t.Fatalf("ReadConnect(%x): %v", b, err)
	}
	return c
}

// describe writes the fields of c like the files of testdata/clients.
func describe(c *packets.Connect) string {
	s := fmt.Sprintf("version: %v\nlevel: %d\nkeep_alive: %.0fs\nclean_start: %t\nwill: %t\npassword: %t\nclient_id: %s\n",
		c.Version, c.Level(), c.KeepAlive().Seconds(), c.CleanStart(), c.HasWill(), c.HasPassword(), c.ClientID())
	if name, ok := c.Username(); ok {
		s += "username: " + name + "\n"
	}
	return s
}

// A captured CONNECT is what a program out there sent, what it means, and
// what it has to become.
type captured struct {
	fields        string
	sent, spliced []byte
}

// capturedPackets reads testdata/clients. Each file has three parts between
// empty lines: fields, packet in hexadecimal, packet with another username.
func capturedPackets(t testing.TB) map[string]captured {
	t.Helper()
	files, err := filepath.Glob("testdata/clients/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no captured packets: %v", err)
	}
	all := make(map[string]captured)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(withoutComments(string(text)), "\n\n")
		if len(parts) != 3 {
			t.Fatalf("%s: %d parts, want 3", file, len(parts))
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txt")] = captured{
			fields:  parts[0] + "\n",
			sent:    unhex(t, parts[1]),
			spliced: unhex(t, parts[2]),
		}
	}
	return all
}

func withoutComments(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReadConnectOfRealClients(t *testing.T) {
	t.Parallel()
	for name, want := range capturedPackets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := mustRead(t, want.sent)
			if got := describe(c); got != want.fields {
				t.Errorf("got\n%s\nwant\n%s", got, want.fields)
			}
			if got := c.Size(); got != len(want.sent) {
				t.Errorf("Size() = %d, want %d", got, len(want.sent))
			}
		})
	}
}

func TestReadConnectAcceptsWhatIsOptional(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		base   connect
		change func(c *connect)
	}{
		"3.1: all fields":                      {full31(), func(c *connect) {}},
		"3.1.1: all fields":                    {full311(), func(c *connect) {}},
		"5.0: all fields":                      {full5(), func(c *connect) {}},
		"3.1: client identifier over 23":       {full31(), func(c *connect) { c.clientID = strings.Repeat("x", 24) }},
		"3.1.1: empty client id, clean":        {full311(), func(c *connect) { c.clientID = "" }},
		"5.0: empty client id":                 {full5(), func(c *connect) { c.clientID, c.flags = "", c.flags&^0x02 }},
		"5.0: password without username":       {full5(), func(c *connect) { c.flags &^= 0x80 }},
		"empty username":                       {full311(), func(c *connect) { c.username = "" }},
		"empty password":                       {full311(), func(c *connect) { c.password = "" }},
		"binary password":                      {full311(), func(c *connect) { c.password = "\xff\x00" }},
		"empty will payload":                   {full311(), func(c *connect) { c.willPayload = "" }},
		"binary will payload":                  {full5(), func(c *connect) { c.willPayload = "\xff\x00" }},
		"5.0: payload said to be text, is not": {full5(), func(c *connect) { c.willProperties, c.willPayload = "\x01\x01", "\xff" }},
		"no properties":                        {full5(), func(c *connect) { c.properties, c.willProperties = "", "" }},
		"properties of 128 bytes":              {full5(), func(c *connect) { c.properties = "\x26\x00\x01k\x00\x7a" + strings.Repeat("v", 122) }},
		"user property twice":                  {full5(), func(c *connect) { c.properties = strings.Repeat("\x26\x00\x01k\x00\x01v", 2) }},
		"byte order mark":                      {full311(), func(c *connect) { c.clientID = "\ufeffdev1" }},
		"longest string":                       {full311(), func(c *connect) { c.username = strings.Repeat("u", 65535) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.change(&tt.base)
			mustRead(t, tt.base.bytes())
		})
	}
}

// Each row breaks one rule in a packet that is accepted as it was.
func TestReadConnectRefuses(t *testing.T) {
	t.Parallel()
	malformed := func(v packets.Version, clause, detail string) packets.ConnectError {
		return packets.ConnectError{Version: v, Kind: packets.ErrMalformed, Clause: clause, Detail: detail}
	}
	tests := map[string]struct {
		base   connect
		change func(c *connect)
		want   packets.ConnectError
	}{
		"3.1: reserved flag": {full31(), func(c *connect) { c.flags |= 0x01 },
			malformed(packets.V31, "MQTT-3.1.2-3", "connect flags: reserved flag is set")},
		"3.1.1: reserved flag": {full311(), func(c *connect) { c.flags |= 0x01 },
			malformed(packets.V311, "MQTT-3.1.2-3", "connect flags: reserved flag is set")},
		"5.0: reserved flag": {full5(), func(c *connect) { c.flags |= 0x01 },
			malformed(packets.V5, "MQTT-3.1.2-3", "connect flags: reserved flag is set")},
		"3.1: will QoS without will": {full31(), func(c *connect) { c.flags = 0b1100_1010 },
			malformed(packets.V31, "MQTT-3.1.2-13", "connect flags: will QoS without will")},
		"3.1.1: will QoS without will": {full311(), func(c *connect) { c.flags = 0b1101_0010 },
			malformed(packets.V311, "MQTT-3.1.2-13", "connect flags: will QoS without will")},
		"5.0: will QoS without will": {full5(), func(c *connect) { c.flags = 0b1100_1010 },
			malformed(packets.V5, "MQTT-3.1.2-11", "connect flags: will QoS without will")},
		"3.1: will retain without will": {full31(), func(c *connect) { c.flags = 0b1110_0010 },
			malformed(packets.V31, "MQTT-3.1.2-15", "connect flags: will retain without will")},
		"3.1.1: will retain without will": {full311(), func(c *connect) { c.flags = 0b1110_0010 },
			malformed(packets.V311, "MQTT-3.1.2-15", "connect flags: will retain without will")},
		"5.0: will retain without will": {full5(), func(c *connect) { c.flags = 0b1110_0010 },
			malformed(packets.V5, "MQTT-3.1.2-13", "connect flags: will retain without will")},
		"3.1: will QoS 3": {full31(), func(c *connect) { c.flags |= 0b1_1000 },
			malformed(packets.V31, "MQTT-3.1.2-14", "connect flags: will QoS is 3")},
		"3.1.1: will QoS 3": {full311(), func(c *connect) { c.flags |= 0b1_1000 },
			malformed(packets.V311, "MQTT-3.1.2-14", "connect flags: will QoS is 3")},
		"5.0: will QoS 3": {full5(), func(c *connect) { c.flags |= 0b1_1000 },
			malformed(packets.V5, "MQTT-3.1.2-12", "connect flags: will QoS is 3")},
		"3.1: password without username": {full31(), func(c *connect) { c.flags &^= 0x80 },
			malformed(packets.V31, "MQTT-3.1.2-22", "connect flags: password without username")},
		"3.1.1: password without username": {full311(), func(c *connect) { c.flags &^= 0x80 },
			malformed(packets.V311, "MQTT-3.1.2-22", "connect flags: password without username")},

		"3.1: empty client id": {full31(), func(c *connect) { c.clientID = "" },
			packets.ConnectError{Version: packets.V31, Kind: packets.ErrClientID, Clause: "MQTT-3.1.3-8", Detail: "client identifier: empty"}},
		"3.1.1: empty client id, not clean": {full311(), func(c *connect) { c.clientID, c.flags = "", c.flags&^0x02 },
			packets.ConnectError{Version: packets.V311, Kind: packets.ErrClientID, Clause: "MQTT-3.1.3-8", Detail: "client identifier: empty"}},
		"3.1.1: empty client id, not clean, and malformed": {full311(), func(c *connect) { c.clientID, c.flags, c.trailing = "", c.flags&^0x02, "x" },
			malformed(packets.V311, "MQTT-3.1.4-1", "payload: bytes follow the last field")},

		"3.1: trailing byte": {full31(), func(c *connect) { c.trailing = "x" },
			malformed(packets.V31, "MQTT-3.1.4-1", "payload: bytes follow the last field")},
		"3.1.1: trailing byte": {full311(), func(c *connect) { c.trailing = "x" },
			malformed(packets.V311, "MQTT-3.1.4-1", "payload: bytes follow the last field")},
		"5.0: trailing byte": {full5(), func(c *connect) { c.trailing = "x" },
			malformed(packets.V5, "MQTT-3.1.4-1", "payload: bytes follow the last field")},

		"empty will topic": {full311(), func(c *connect) { c.willTopic = "" },
			malformed(packets.V311, "MQTT-4.7.3-1", "will topic: empty")},
		"will topic with +": {full31(), func(c *connect) { c.willTopic = "a/+" },
			malformed(packets.V31, "MQTT-3.3.2-2", "will topic: holds a wildcard")},
		"will topic with #": {full5(), func(c *connect) { c.willTopic = "a/#" },
			malformed(packets.V5, "MQTT-3.3.2-2", "will topic: holds a wildcard")},

		"receive maximum 0": {full5(), func(c *connect) { c.properties = "\x21\x00\x00" },
			malformed(packets.V5, "3.1.2.11.3", "receive maximum: 0")},
		"maximum packet size 0": {full5(), func(c *connect) { c.properties = "\x27\x00\x00\x00\x00" },
			malformed(packets.V5, "3.1.2.11.4", "maximum packet size: 0")},
		"request response information 2": {full5(), func(c *connect) { c.properties = "\x19\x02" },
			malformed(packets.V5, "3.1.2.11.6", "request response information: neither 0 nor 1")},
		"request problem information 2": {full5(), func(c *connect) { c.properties = "\x17\x02" },
			malformed(packets.V5, "3.1.2.11.7", "request problem information: neither 0 nor 1")},
		"authentication data alone": {full5(), func(c *connect) { c.properties = "\x16\x00\x01\xff" },
			malformed(packets.V5, "3.1.2.11.10", "authentication data: without a method")},
		"payload format 2": {full5(), func(c *connect) { c.willProperties = "\x01\x02" },
			malformed(packets.V5, "3.1.3.2.3", "will payload format indicator: neither 0 nor 1")},
		"response topic with +": {full5(), func(c *connect) { c.willProperties = "\x08\x00\x01+" },
			malformed(packets.V5, "MQTT-3.3.2-14", "will response topic: holds a wildcard")},
		"response topic with #": {full5(), func(c *connect) { c.willProperties = "\x08\x00\x01#" },
			malformed(packets.V5, "MQTT-3.3.2-14", "will response topic: holds a wildcard")},
		"empty response topic": {full5(), func(c *connect) { c.willProperties = "\x08\x00\x00" },
			malformed(packets.V5, "MQTT-4.7.3-1", "will response topic: empty")},
		"property identifier of two bytes": {full5(), func(c *connect) { c.properties = "\x91\x00\x00\x00\x00\x00" },
			malformed(packets.V5, "2.2.2.2", "properties: unknown identifier")},
		"property past the property length": {full5(), func(c *connect) { c.properties = "\x21\x00" },
			malformed(packets.V5, "3.1.2.11.3", "receive maximum: missing or cut short")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustRead(t, tt.base.bytes())
			tt.change(&tt.base)
			wantRefusal(t, tt.base.bytes(), tt.want)
		})
	}
}

// wantRefusal reads b and expects exactly the error want.
func wantRefusal(t *testing.T, b []byte, want packets.ConnectError) {
	t.Helper()
	c, err := read(b)
	got, ok := errors.AsType[*packets.ConnectError](err)
	if !ok || *got != want {
		t.Fatalf("ReadConnect(%x) = %v, %#v\nwant %#v", b, c, err, want)
	}
	if !errors.Is(err, want.Kind) {
		t.Errorf("%v is not %v", err, want.Kind)
	}
}

func TestReadConnectRefusesBadLengths(t *testing.T) {
	t.Parallel()
	// A 5.0 body whose property length is the sixth byte from its end.
	head, tail := "\x00\x04MQTT\x05\x02\x00\x3c", "\x00\x04dev1"
	mustRead(t, packet(0x10, []byte(head+"\x00"+tail)))
	malformed := func(v packets.Version, clause, detail string) packets.ConnectError {
		return packets.ConnectError{Version: v, Kind: packets.ErrMalformed, Clause: clause, Detail: detail}
	}
	tests := map[string]struct {
		packet []byte
		want   packets.ConnectError
	}{
		"remaining length of five bytes": {[]byte("\x10\x80\x80\x80\x80\x01"),
			malformed(0, "1.5.5", "remaining length: takes more than four bytes")},
		"5.0: remaining length longer than needed": {[]byte("\x10\x91\x00" + head + "\x00" + tail),
			malformed(packets.V5, "MQTT-1.5.5-1", "remaining length: longer than needed")},
		"property length longer than needed": {packet(0x10, []byte(head+"\x80\x00"+tail)),
			malformed(packets.V5, "MQTT-1.5.5-1", "properties: length is longer than needed")},
		"property length of five bytes": {packet(0x10, []byte(head+"\x80\x80\x80\x80\x00"+tail)),
			malformed(packets.V5, "1.5.5", "properties: length takes more than four bytes")},
		"property length past the packet": {packet(0x10, []byte(head+"\x07"+tail)),
			malformed(packets.V5, "2.2.2.1", "properties: missing or cut short")},
		"property length cut short": {packet(0x10, []byte(head+"\x80")),
			malformed(packets.V5, "2.2.2.1", "properties: missing or cut short")},
		"empty": {[]byte("\x10\x00"),
			malformed(0, "MQTT-3.1.4-1", "protocol name or level: missing or cut short")},
		"protocol name cut short": {[]byte("\x10\x05\x00\x04MQT"),
			malformed(0, "MQTT-3.1.4-1", "protocol name or level: missing or cut short")},
		"no protocol level": {[]byte("\x10\x08\x00\x06MQIsdp"),
			malformed(0, "MQTT-3.1.4-1", "protocol name or level: missing or cut short")},
		"no flags": {[]byte("\x10\x07\x00\x04MQTT\x04"),
			malformed(packets.V311, "MQTT-3.1.4-1", "connect flags: missing or cut short")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantRefusal(t, tt.packet, tt.want)
		})
	}
}

func TestReadConnectLetsOldVersionsPadTheRemainingLength(t *testing.T) {
	t.Parallel()
	for _, c := range []connect{full31(), full311()} {
		b := c.bytes()
		mustRead(t, append([]byte{0x10, b[1] | 0x80, 0x80, 0x00}, b[2:]...))
	}
}

func TestReadConnectRefusesOtherVersions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		level  byte
		answer packets.Version
	}{
		{"MQTT", 0, packets.V311},
		{"MQTT", 3, packets.V311},
		{"MQTT", 6, packets.V5},
		{"MQTT", 255, packets.V5},
		{"MQTT", 0x83, packets.V311},
		{"MQTT", 0x85, packets.V5},
		{"MQTT", 0x86, packets.V5},
		{"MQIsdp", 4, packets.V311},
		{"MQIsdp", 5, packets.V5},
		{"MQIsdp", 0x84, packets.V311},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%s level %d", tt.name, tt.level), func(t *testing.T) {
			t.Parallel()
			c := full311()
			c.name, c.level = tt.name, tt.level
			wantRefusal(t, c.bytes(), packets.ConnectError{
				Version: tt.answer, Kind: packets.ErrVersion, Clause: "MQTT-3.1.2-2",
				Detail: fmt.Sprintf("protocol level: %d", tt.level),
			})
		})
	}
}

// Remaining length true to what is left, every packet that loses its end is
// refused, but for the fields that 3.1 lets a client leave out.
func TestReadConnectRefusesEveryCut(t *testing.T) {
	t.Parallel()
	for _, c := range []connect{full31(), full311(), full5()} {
		body := c.body()
		password := len(body) - len("xxsecret")
		username := password - len("xximpostor")
		for n := range body {
			_, err := read(packet(0x10, body[:n]))
			optional := c.level == 3 && (n == username || n == password)
			if optional && err != nil {
				t.Errorf("level %d, %d of %d bytes: %v", c.level, n, len(body), err)
			}
			if !optional && !errors.Is(err, packets.ErrMalformed) {
				t.Errorf("level %d, %d of %d bytes: got %v, want %v", c.level, n, len(body), err, packets.ErrMalformed)
			}
		}
	}
}

// 3.1, section 3.1: remaining length takes precedence over the flags.
func TestReadConnectBelievesTheRemainingLengthOf31(t *testing.T) {
	t.Parallel()
	body := full31().body()
	password := len(body) - len("xxsecret")
	username := password - len("xximpostor")

	c := mustRead(t, packet(0x10, body[:password]))
	if name, ok := c.Username(); name != "impostor" || !ok || c.HasPassword() {
		t.Errorf("without password: username %q, %t; password %t", name, ok, c.HasPassword())
	}
	c = mustRead(t, packet(0x10, body[:username]))
	if name, ok := c.Username(); ok || c.HasPassword() {
		t.Errorf("without username and password: username %q, %t; password %t", name, ok, c.HasPassword())
	}
}

func TestReadConnectChecksEveryString(t *testing.T) {
	t.Parallel()
	const illFormed, null = "not well-formed UTF-8", "holds U+0000"
	bad := map[string]string{
		"\xff":         illFormed,
		"a\xc3":        illFormed, // cut short
		"\xc0\x80":     illFormed, // overlong U+0000
		"\xed\xa0\x80": illFormed, // U+D800
		"\xed\xbf\xbf": illFormed, // U+DFFF
		"\x00":         null,
		"a\x00b":       null,
	}
	clauses := map[byte]map[string]string{
		3: {illFormed: "MQTT-1.5.3-1", null: "MQTT-1.5.3-2"},
		4: {illFormed: "MQTT-1.5.3-1", null: "MQTT-1.5.3-2"},
		5: {illFormed: "MQTT-1.5.4-1", null: "MQTT-1.5.4-2"},
	}
	in := func(id byte) func(s string) string {
		return func(s string) string { return string(field([]byte{id}, s)) }
	}
	fields := map[string]struct {
		only5 bool
		set   func(c *connect, s string)
	}{
		"client identifier": {false, func(c *connect, s string) { c.clientID = s }},
		"will topic":        {false, func(c *connect, s string) { c.willTopic = s }},
		"username":          {false, func(c *connect, s string) { c.username = s }},

		"authentication method": {true, func(c *connect, s string) { c.properties = in(0x15)(s) }},
		"user property":         {true, func(c *connect, s string) { c.properties = in(0x26)(s) + "\x00\x00" }},
		"will content type":     {true, func(c *connect, s string) { c.willProperties = in(0x03)(s) }},
		"will response topic":   {true, func(c *connect, s string) { c.willProperties = in(0x08)(s) }},
		"will user property":    {true, func(c *connect, s string) { c.willProperties = "\x26\x00\x00" + string(field(nil, s)) }},
	}
	for name, f := range fields {
		for _, base := range []connect{full31(), full311(), full5()} {
			if f.only5 && base.level != 5 {
				continue
			}
			for s, what := range bad {
				c := base
				f.set(&c, s)
				wantRefusal(t, c.bytes(), packets.ConnectError{
					Version: packets.Version(c.level), Kind: packets.ErrMalformed,
					Clause: clauses[c.level][what], Detail: name + ": " + what,
				})
			}
		}
	}
}

func TestConnectErrorSaysWhatAndWhere(t *testing.T) {
	t.Parallel()
	c := full311()
	c.flags |= 0x01
	_, err := read(c.bytes())
	if got, want := fmt.Sprint(err), "reading CONNECT: malformed packet: connect flags: reserved flag is set [MQTT-3.1.2-3]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = packets.ReadConnect(bytes.NewReader(full5().bytes()), 50)
	if got, want := fmt.Sprint(err), fmt.Sprintf("reading CONNECT: packet too large: %d bytes, at most 50", len(full5().bytes())); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConnectPrintsNoPassword(t *testing.T) {
	t.Parallel()
	c := mustRead(t, full311().bytes())
	for _, format := range []string{"%v", "%+v", "%s"} {
		if got, want := fmt.Sprintf(format, c), fmt.Sprintf("CONNECT 3.1.1 (%d bytes)", c.Size()); got != want {
			t.Errorf("%s prints %q, want %q", format, got, want)
		}
	}
}

func TestVersionString(t *testing.T) {
	t.Parallel()
	for v, want := range map[packets.Version]string{packets.V31: "3.1", packets.V311: "3.1.1", packets.V5: "5.0", 0: "unknown"} {
		if got := v.String(); got != want {
			t.Errorf("Version(%d).String() = %q, want %q", v, got, want)
		}
	}
}
