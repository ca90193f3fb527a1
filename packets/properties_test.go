// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"errors"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

const userProperty = 0x26

// All properties that 5.0 allows in a CONNECT and in its Will, each with a
// value that is legal, and the section that has it there once.
var (
	connectProperties = map[byte]struct{ value, name, section string }{
		0x11:         {"\xff\xff\xff\xff", "session expiry interval", "3.1.2.11.2"},
		0x15:         {"\x00\x01m", "authentication method", "3.1.2.11.9"},
		0x17:         {"\x01", "request problem information", "3.1.2.11.7"},
		0x19:         {"\x00", "request response information", "3.1.2.11.6"},
		0x21:         {"\x00\x01", "receive maximum", "3.1.2.11.3"},
		0x22:         {"\x00\x00", "topic alias maximum", "3.1.2.11.5"},
		userProperty: {"\x00\x01k\x00\x01v", "user property", "3.1.2.11.8"},
		0x27:         {"\x00\x00\x00\x01", "maximum packet size", "3.1.2.11.4"},
	}
	willProperties = map[byte]struct{ value, name, section string }{
		0x01:         {"\x01", "will payload format indicator", "3.1.3.2.3"},
		0x02:         {"\x00\x00\x00\x00", "will message expiry interval", "3.1.3.2.4"},
		0x03:         {"\x00\x00", "will content type", "3.1.3.2.5"},
		0x08:         {"\x00\x01t", "will response topic", "3.1.3.2.6"},
		0x09:         {"\x00\x01\xff", "will correlation data", "3.1.3.2.7"},
		0x18:         {"\x00\x00\x00\x00", "will delay interval", "3.1.3.2.2"},
		userProperty: {"\x00\x01k\x00\x01v", "will user property", "3.1.3.2.8"},
	}
)

// authenticationData is legal behind a method only.
const authenticationMethod, authenticationData = "\x15\x00\x01m", "\x16\x00\x01\xff"

func withProperties(s string) []byte {
	c := full5()
	c.properties = s
	return c.bytes()
}

func withWillProperties(s string) []byte {
	c := full5()
	c.willProperties = s
	return c.bytes()
}

func TestReadConnectKnowsEveryProperty(t *testing.T) {
	t.Parallel()
	for id := range 256 {
		known, ok := connectProperties[byte(id)]
		_, err := read(withProperties(string([]byte{byte(id)}) + known.value))
		if ok && err != nil {
			t.Errorf("property %#02x: %v", id, err)
		}
		if !ok && !errors.Is(err, packets.ErrMalformed) {
			t.Errorf("property %#02x: got %v, want %v", id, err, packets.ErrMalformed)
		}

		known, ok = willProperties[byte(id)]
		_, err = read(withWillProperties(string([]byte{byte(id)}) + known.value))
		if ok && err != nil {
			t.Errorf("will property %#02x: %v", id, err)
		}
		if !ok && !errors.Is(err, packets.ErrMalformed) {
			t.Errorf("will property %#02x: got %v, want %v", id, err, packets.ErrMalformed)
		}
	}
	mustRead(t, withProperties(authenticationMethod+authenticationData))
	mustRead(t, withProperties(authenticationData+authenticationMethod))
}

func TestReadConnectTakesPropertiesOnce(t *testing.T) {
	t.Parallel()
	twice := func(name, section string) packets.ConnectError {
		return packets.ConnectError{Version: packets.V5, Kind: packets.ErrMalformed, Clause: section, Detail: name + ": there twice"}
	}
	for id, p := range connectProperties {
		if id != userProperty {
			want := twice(p.name, p.section)
			if p.name == "maximum packet size" {
				want.MaxPacketSize = 1
			}
			wantRefusal(t, withProperties(string([]byte{id})+p.value+string([]byte{id})+p.value), want)
		}
	}
	for id, p := range willProperties {
		if id != userProperty {
			wantRefusal(t, withWillProperties(string([]byte{id})+p.value+string([]byte{id})+p.value), twice(p.name, p.section))
		}
	}
	wantRefusal(t, withProperties(authenticationMethod+authenticationData+authenticationData), twice("authentication data", "3.1.2.11.10"))
}

// A value that the property length does not leave room for is missing, even
// when the bytes behind it would do.
func TestReadConnectKeepsPropertiesInTheirLength(t *testing.T) {
	t.Parallel()
	cut := func(name, section string) packets.ConnectError {
		return packets.ConnectError{Version: packets.V5, Kind: packets.ErrMalformed, Clause: section, Detail: name + ": missing or cut short"}
	}
	for id, p := range connectProperties {
		wantRefusal(t, withProperties(string([]byte{id})+p.value[:len(p.value)-1]), cut(p.name, p.section))
	}
	for id, p := range willProperties {
		wantRefusal(t, withWillProperties(string([]byte{id})+p.value[:len(p.value)-1]), cut(p.name, p.section))
	}
}
