// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	paho5 "github.com/eclipse/paho.golang/packets"
	paho3 "github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/vernegate/vernegate/packets"
)

// addConnects seeds f with CONNECTs of every kind.
func addConnects(f *testing.F) {
	for _, c := range capturedPackets(f) {
		f.Add(c.sent)
	}
	for _, c := range []connect{full31(), full311(), full5()} {
		f.Add(c.bytes())
	}
	for id, p := range connectProperties {
		f.Add(withProperties(string([]byte{id}) + p.value))
	}
	for id, p := range willProperties {
		f.Add(withWillProperties(string([]byte{id}) + p.value))
	}
}

// Whatever arrives: a packet or a refusal, the same in any chunks, and of an
// accepted packet everything but the username survives its replacement.
func FuzzReadConnect(f *testing.F) {
	addConnects(f)
	f.Add([]byte("\x10\xff\xff\xff\x7f\x00\x04MQTT\x05"))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r := bytes.NewReader(sent)
		c, err := packets.ReadConnect(r, limit)
		rest := r.Len()
		if err != nil {
			sameRefusal(t, sent, err)
			return
		}
		if c.Size()+rest != len(sent) {
			t.Fatalf("packet of %d bytes, %d left of %d", c.Size(), rest, len(sent))
		}

		one := sent[:c.Size()]
		again, err := packets.ReadConnect(&strictReader{t: t, packet: one, chunk: 1}, limit)
		if err != nil || describe(again) != describe(c) {
			t.Fatalf("byte by byte: %v, %v\nwant %v", again, err, c)
		}
		checkSplice(t, one)
	})
}

// sameRefusal expects ReadConnect to say of sent, byte by byte, what it said
// of it as a whole.
func sameRefusal(t *testing.T, sent []byte, want error) {
	t.Helper()
	refused := errors.As(want, new(*packets.ConnectError))
	if !refused && !errors.Is(want, io.EOF) && !errors.Is(want, io.ErrUnexpectedEOF) {
		t.Fatalf("neither a refusal nor an early end: %v", want)
	}
	_, err := packets.ReadConnect(&growthReader{t: t, b: sent}, limit)
	if err == nil || err.Error() != want.Error() {
		t.Fatalf("byte by byte: %v\nas a whole:   %v", err, want)
	}
}

// A growthReader returns one byte at a time and objects to a buffer larger
// than what has arrived allows.
type growthReader struct {
	t  *testing.T
	b  []byte
	at int
}

func (r *growthReader) Read(p []byte) (int, error) {
	if size := r.at + cap(p); size > max(1024, 2*r.at) {
		r.t.Errorf("buffer of %d bytes after %d have arrived", size, r.at)
	}
	if r.at == len(r.b) {
		return 0, io.EOF
	}
	p[0] = r.b[r.at]
	r.at++
	return 1, nil
}

// What is accepted, Eclipse Paho reads alike, and so it does the packet with
// another username. Only accepted packets get there: Paho believes any
// remaining length, and takes what the specifications forbid.
func FuzzConnectAgainstPaho(f *testing.F) {
	addConnects(f)
	f.Fuzz(func(t *testing.T, sent []byte) {
		c, err := read(sent)
		if err != nil {
			return
		}
		sent = sent[:c.Size()]
		spliced, err := withUsername(c, "admin:dev1")
		if err != nil {
			t.Fatal(err)
		}
		stripped, err := withUsernameAlone(c, "admin:dev1")
		if err != nil {
			t.Fatal(err)
		}
		if c.Version == packets.V5 {
			agree5(t, c, sent, spliced, stripped)
		} else {
			agree3(t, c, sent, spliced, stripped)
		}
	})
}

func agree5(t *testing.T, c *packets.Connect, sent, spliced, stripped []byte) {
	t.Helper()
	paho := readPaho5(t, sent)
	name, ok := c.Username()
	got := []any{c.ClientID(), name, ok, c.HasPassword(), c.HasWill(), c.CleanStart(), c.KeepAlive()}
	want := []any{
		paho.ClientID, paho.Username, paho.UsernameFlag, paho.PasswordFlag, paho.WillFlag,
		paho.CleanStart, time.Duration(paho.KeepAlive) * time.Second,
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, paho reads %v", got, want)
	}

	paho.Username, paho.UsernameFlag = "admin:dev1", true
	if got := readPaho5(t, spliced); !reflect.DeepEqual(got, paho) {
		t.Fatalf("spliced, paho reads %+v\nwant %+v", got, paho)
	}
	paho.Password, paho.PasswordFlag = nil, false
	if got := readPaho5(t, stripped); !reflect.DeepEqual(got, paho) {
		t.Fatalf("stripped, paho reads %+v\nwant %+v", got, paho)
	}
}

func readPaho5(t *testing.T, b []byte) *paho5.Connect {
	t.Helper()
	p, err := paho5.ReadPacket(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("paho refuses %x: %v", b, err)
	}
	return p.Content.(*paho5.Connect)
}

func agree3(t *testing.T, c *packets.Connect, sent, spliced, stripped []byte) {
	t.Helper()
	flags := sent[headerSize(sent)+2+int(sent[headerSize(sent)+1])+1]
	name, ok := c.Username()
	if ok != (flags&0x80 != 0) || c.HasPassword() != (flags&0x40 != 0) {
		return // 3.1 lets a client leave them out; paho knows nothing of that
	}

	paho := readPaho3(t, sent)
	got := []any{c.Level(), c.ClientID(), name, ok, c.HasPassword(), c.HasWill(), c.CleanStart(), c.KeepAlive()}
	want := []any{
		paho.ProtocolVersion, paho.ClientIdentifier, paho.Username, paho.UsernameFlag, paho.PasswordFlag,
		paho.WillFlag, paho.CleanSession, time.Duration(paho.Keepalive) * time.Second,
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, paho reads %v", got, want)
	}

	paho.Username, paho.UsernameFlag = "admin:dev1", true
	after := readPaho3(t, spliced)
	paho.RemainingLength = after.RemainingLength
	if !reflect.DeepEqual(after, paho) {
		t.Fatalf("spliced, paho reads %+v\nwant %+v", after, paho)
	}

	paho.Password, paho.PasswordFlag = nil, false
	after = readPaho3(t, stripped)
	paho.RemainingLength = after.RemainingLength
	if !reflect.DeepEqual(after, paho) {
		t.Fatalf("stripped, paho reads %+v\nwant %+v", after, paho)
	}
}

func readPaho3(t *testing.T, b []byte) *paho3.ConnectPacket {
	t.Helper()
	p, err := paho3.ReadPacket(bytes.NewReader(b))
	if err != nil {
		t.Fatalf("paho refuses %x: %v", b, err)
	}
	return p.(*paho3.ConnectPacket)
}

// What Eclipse Paho writes of legal values is accepted.
func FuzzConnectWrittenByPaho(f *testing.F) {
	f.Add("dev1", "impostor", []byte("secret"), "tenant/dev1/lwt", []byte("gone"), "site", byte(0xff), uint16(60), uint32(3600))
	f.Add("", "", []byte{}, "t", []byte{}, "", byte(0), uint16(0), uint32(0))
	f.Fuzz(func(t *testing.T, id, name string, password []byte, topic string, payload []byte, text string, flags byte, short uint16, long uint32) {
		for _, s := range []string{id, name, topic, text} {
			if !utf8.ValidString(s) || strings.Contains(s, "\x00") || len(s) > 1000 {
				return // no string of MQTT
			}
		}
		if topic == "" || strings.ContainsAny(topic, "+#") || len(password)+len(payload) > 1000 {
			return // no legal values
		}
		has := func(bit int) bool { return flags&(1<<bit) != 0 }

		user := []paho5.User{{Key: text, Value: text}, {Key: text, Value: text}}
		boolean, positive, positiveLong := byte(short&1), max(short, 1), max(long, 1)
		five := &paho5.Connect{
			ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: id, KeepAlive: short, CleanStart: has(0),
			Username: name, UsernameFlag: has(1), Password: password, PasswordFlag: has(2),
			WillFlag: has(3), WillRetain: has(4), WillQOS: flags >> 5 % 3, WillTopic: topic, WillMessage: payload,
			Properties: &paho5.Properties{
				SessionExpiryInterval: &long, ReceiveMaximum: &positive, MaximumPacketSize: &positiveLong, TopicAliasMaximum: &short,
				RequestProblemInfo: &boolean, RequestResponseInfo: &boolean, AuthMethod: "m", AuthData: password, User: user,
			},
			WillProperties: &paho5.Properties{WillDelayInterval: &long, User: user},
		}
		var b bytes.Buffer
		if _, err := five.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		mustRead(t, b.Bytes())

		// 3.1.1 wants a name to each password, and a clean session of a
		// client without an identifier.
		three := paho3.NewControlPacket(paho3.Connect).(*paho3.ConnectPacket)
		three.ProtocolName, three.ProtocolVersion = "MQTT", 4
		three.ClientIdentifier, three.Keepalive, three.CleanSession = id, short, has(0) || id == ""
		three.Username, three.UsernameFlag, three.Password, three.PasswordFlag = name, has(1), password, has(1) && has(2)
		if three.WillFlag = has(3); three.WillFlag {
			three.WillRetain, three.WillQos, three.WillTopic, three.WillMessage = has(4), flags>>5%3, topic, payload
		}
		b.Reset()
		if err := three.Write(&b); err != nil {
			t.Fatal(err)
		}
		mustRead(t, b.Bytes())
	})
}

// Whatever a broker sends: one packet or an error, the same in any chunks.
func FuzzReadFirstPacket(f *testing.F) {
	for _, s := range []string{
		"\x20\x02\x00\x00", "\x20\x02\x01\x00", "\x20\x02\x00\x05",
		"\x20\x03\x00\x00\x00", "\x20\x06\x01\x00\x03\x22\x00\x0a", "\xf0\x06\x18\x04\x15\x00\x01m",
		"\x20\xff\xff\xff\x7f", "HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail ESMTP\r\n",
	} {
		f.Add([]byte(s), byte(packets.V311))
		f.Add([]byte(s), byte(packets.V5))
	}
	f.Fuzz(func(t *testing.T, sent []byte, version byte) {
		v := packets.V31 + packets.Version(version%3)
		p, err := packets.ReadFirstPacket(bytes.NewReader(sent), v, limit)
		if err != nil {
			_, again := packets.ReadFirstPacket(&growthReader{t: t, b: sent}, v, limit)
			if again == nil || again.Error() != err.Error() {
				t.Fatalf("byte by byte: %v\nas a whole:   %v", again, err)
			}
			return
		}

		if !bytes.HasPrefix(sent, p.Bytes) {
			t.Fatalf("got %x of %x", p.Bytes, sent)
		}
		again, err := packets.ReadFirstPacket(&strictReader{t: t, packet: p.Bytes, chunk: 1}, v, limit)
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Fatalf("byte by byte: %+v, %v\nwant %+v", again, err, p)
		}
		if v != packets.V5 {
			agreeConnack3(t, p)
		}
	})
}

func agreeConnack3(t *testing.T, p *packets.FirstPacket) {
	t.Helper()
	paho, err := paho3.ReadPacket(bytes.NewReader(p.Bytes))
	if err != nil {
		t.Fatalf("paho refuses %x: %v", p.Bytes, err)
	}
	connack, ok := paho.(*paho3.ConnackPacket)
	if !ok || connack.ReturnCode != p.Code || connack.SessionPresent != p.SessionPresent {
		t.Fatalf("got %+v, paho reads %v", p, paho)
	}
}
