// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"bytes"
	"encoding/binary"

	proxyproto "github.com/pires/go-proxyproto"
)

// MQTT control packet types, the high half of a packet's first byte.
const (
	typeConnect    = 1
	typeConnack    = 2
	typePublish    = 3
	typePuback     = 4
	typeSubscribe  = 8
	typeSuback     = 9
	typePingreq    = 12
	typePingresp   = 13
	typeDisconnect = 14
)

// cutHeader takes the PROXY header off what has come first; header stays nil when
// there is none. Of what VerneMQ takes, only connections by TCP make sense here;
// others crash its handler.
func (s *FakeSession) cutHeader(p []byte) (rest []byte) {
	r := bufio.NewReaderSize(bytes.NewReader(p), len(p))
	header, err := proxyproto.Read(r)
	if err != nil || !header.TransportProtocol.IsStream() || header.Command.IsLocal() {
		return nil
	}
	s.header = header
	return p[len(p)-r.Buffered():]
}

// answer does what the packet asks for; false ends the connection.
func (s *FakeSession) answer(h Behavior, packet []byte) bool {
	switch packet[0] >> 4 {
	case typeConnect:
		return s.answerConnect(h, packet)
	case typeSubscribe:
		return s.answerSubscribe(packet)
	case typePublish:
		return s.answerPublish(packet)
	case typePingreq:
		return s.send([]byte{typePingresp << 4, 0})
	case typeDisconnect:
		return false
	}
	return true
}

// answerConnect accepts, or does what the behavior says.
func (s *FakeSession) answerConnect(h Behavior, packet []byte) bool {
	s.version = versionOf(packet)
	connack := []byte{typeConnack << 4, 2, 0, 0}
	if s.version == V5 {
		connack = []byte{typeConnack << 4, 3, 0, 0, 0} // no properties
	}
	if h.Connack != nil {
		connack = h.Connack
	}
	return s.send(connack) && (h.AfterConnack == nil || s.send(h.AfterConnack) && false)
}

// answerSubscribe grants the last filter's QoS.
func (s *FakeSession) answerSubscribe(packet []byte) bool {
	id, granted := bodyOf(packet)[:2], packet[len(packet)-1]&3
	if s.version == V5 {
		return s.send([]byte{typeSuback << 4, 4, id[0], id[1], 0, granted}) // no properties
	}
	return s.send([]byte{typeSuback << 4, 3, id[0], id[1], granted})
}

// answerPublish acknowledges QoS 1; the FakeBroker is not told of anything higher.
func (s *FakeSession) answerPublish(packet []byte) bool {
	if packet[0]>>1&3 != 1 {
		return true
	}
	body := bodyOf(packet)
	id := body[2+binary.BigEndian.Uint16(body):]
	return s.send([]byte{typePuback << 4, 2, id[0], id[1]})
}

func (s *FakeSession) send(p []byte) bool {
	_, err := s.conn.Write(p)
	return err == nil
}

// cutPacket cuts the first whole packet off; packet is nil while there is none.
func cutPacket(p []byte) (packet, rest []byte) {
	if len(p) < 2 {
		return nil, p
	}
	length, n := binary.Uvarint(p[1:]) // MQTT's remaining length is the same encoding
	end := 1 + n + int(length)
	if n <= 0 || end > len(p) {
		return nil, p
	}
	return p[:end], p[end:]
}

// bodyOf is a whole packet without its fixed header.
func bodyOf(packet []byte) []byte {
	_, n := binary.Uvarint(packet[1:])
	return packet[1+n:]
}

// versionOf is the version that a whole CONNECT asks for, without a bridge's bit.
func versionOf(connect []byte) Version {
	body := bodyOf(connect)
	name := binary.BigEndian.Uint16(body)
	return Version(body[2+name] & 0x7F)
}
