// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

func TestReadFirstPacket(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		version packets.Version
		sent    string
		kind    packets.PacketType
		code    byte
		session bool
	}{
		"3.1: accepted":                 {packets.V31, "\x20\x02\x00\x00", packets.Connack, 0, false},
		"3.1.1: accepted":               {packets.V311, "\x20\x02\x00\x00", packets.Connack, 0, false},
		"3.1.1: session present":        {packets.V311, "\x20\x02\x01\x00", packets.Connack, 0, true},
		"3.1.1: refused":                {packets.V311, "\x20\x02\x00\x05", packets.Connack, 5, false},
		"5.0: accepted":                 {packets.V5, "\x20\x03\x00\x00\x00", packets.Connack, 0, false},
		"5.0: session present":          {packets.V5, "\x20\x06\x01\x00\x03\x22\x00\x0a", packets.Connack, 0, true},
		"5.0: refused":                  {packets.V5, "\x20\x03\x00\x87\x00", packets.Connack, 0x87, false},
		"5.0: refused by a 3.1.1 brok.": {packets.V5, "\x20\x02\x00\x01", packets.Connack, 1, false},
		"5.0: properties":               {packets.V5, "\x20\x85\x01\x00\x00\x81\x01\x1f\x00\x7e" + strings.Repeat("r", 126), packets.Connack, 0, false},
		"5.0: AUTH":                     {packets.V5, "\xf0\x06\x18\x04\x15\x00\x01m", packets.Auth, 0x18, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, chunk := range []int{1, len(tt.sent)} {
				p, err := packets.ReadFirstPacket(&strictReader{t: t, packet: []byte(tt.sent), chunk: chunk}, tt.version, limit)
				if err != nil {
					t.Fatal(err)
				}
				if p.Kind != tt.kind || p.Code != tt.code || p.SessionPresent != tt.session || string(p.Bytes) != tt.sent {
					t.Errorf("got %+v, want %+v", p, tt)
				}
			}
		})
	}
}

func TestReadFirstPacketRefuses(t *testing.T) {
	t.Parallel()
	const unexpected = "reading first packet: unexpected packet: "
	tests := map[string]struct {
		version packets.Version
		sent    string
		want    string
	}{
		"HTTP":                         {packets.V311, "H", unexpected + "neither CONNACK nor AUTH"},
		"CONNACK with flags":           {packets.V311, "\x21", unexpected + "neither CONNACK nor AUTH"},
		"PUBLISH":                      {packets.V5, "\x30", unexpected + "neither CONNACK nor AUTH"},
		"AUTH with flags":              {packets.V5, "\xf1", unexpected + "neither CONNACK nor AUTH"},
		"3.1.1: AUTH":                  {packets.V311, "\xf0", unexpected + "neither CONNACK nor AUTH"},
		"endless remaining length":     {packets.V5, "\x20\x80\x80\x80\x80", unexpected + "remaining length takes more than four bytes"},
		"3.1.1: of 5.0":                {packets.V311, "\x20\x03\x00\x00\x00", unexpected + "CONNACK is too long"},
		"empty":                        {packets.V311, "\x20\x00", unexpected + "CONNACK is cut short"},
		"no code":                      {packets.V5, "\x20\x01\x00", unexpected + "CONNACK is cut short"},
		"reserved flags":               {packets.V311, "\x20\x02\x02\x00", unexpected + "reserved flags of CONNACK are set"},
		"refused, session":             {packets.V311, "\x20\x02\x01\x05", unexpected + "CONNACK refuses and has a session"},
		"5.0: refused, session":        {packets.V5, "\x20\x03\x01\x87\x00", unexpected + "CONNACK refuses and has a session"},
		"5.0: of 3.1.1":                {packets.V5, "\x20\x02\x00\x00", unexpected + "properties of CONNACK are not as long as they say"},
		"5.0: refused like 3.1.1":      {packets.V5, "\x20\x02\x00\x05", unexpected + "properties of CONNACK are not as long as they say"},
		"5.0: properties too short":    {packets.V5, "\x20\x04\x00\x00\x02\x24", unexpected + "properties of CONNACK are not as long as they say"},
		"5.0: properties too long":     {packets.V5, "\x20\x04\x00\x00\x00\x24", unexpected + "properties of CONNACK are not as long as they say"},
		"5.0: endless property size":   {packets.V5, "\x20\x06\x00\x00\x80\x80\x80\x80", unexpected + "properties of CONNACK are not as long as they say"},
		"5.0: AUTH with success":       {packets.V5, "\xf0\x00", unexpected + "AUTH does not continue authentication"},
		"5.0: AUTH to authenticate":    {packets.V5, "\xf0\x06\x19\x04\x15\x00\x01m", unexpected + "AUTH does not continue authentication"},
		"5.0: AUTH without method":     {packets.V5, "\xf0\x01\x18", unexpected + "properties of AUTH are not as long as they say"},
		"5.0: AUTH with long leftover": {packets.V5, "\xf0\x03\x18\x00\x00", unexpected + "properties of AUTH are not as long as they say"},
		"too large":                    {packets.V5, "\x20\xff\xff\xff\x7f", "reading first packet: packet too large: 268435460 bytes, at most 262144"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := packets.ReadFirstPacket(io.MultiReader(strings.NewReader(tt.sent), noMore{t}), tt.version, limit)
			if got := fmt.Sprint(err); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if !errors.Is(err, packets.ErrUnexpected) && !errors.Is(err, packets.ErrTooLarge) {
				t.Errorf("%v wraps no error of the package", err)
			}
		})
	}
}

func TestReadFirstPacketKeepsToMaxSize(t *testing.T) {
	t.Parallel()
	const sent = "\x20\x03\x00\x00\x00"
	if _, err := packets.ReadFirstPacket(strings.NewReader(sent), packets.V5, len(sent)); err != nil {
		t.Errorf("as large as allowed: %v", err)
	}
	if _, err := packets.ReadFirstPacket(strings.NewReader(sent), packets.V5, len(sent)-1); !errors.Is(err, packets.ErrTooLarge) {
		t.Errorf("one byte larger: got %v, want %v", err, packets.ErrTooLarge)
	}
}

func TestReadFirstPacketPassesReadErrors(t *testing.T) {
	t.Parallel()
	const sent = "\x20\x03\x00\x00\x00"
	for n := range len(sent) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := packets.ReadFirstPacket(strings.NewReader(sent[:n]), packets.V5, limit); !errors.Is(err, want) {
			t.Errorf("%d bytes sent: got %v, want %v", n, err, want)
		}
	}
}

// Not parallel: it counts what the whole process allocates.
func TestReadFirstPacketAllocatesByWhatHasArrived(t *testing.T) {
	got := allocated(func() {
		_, err := packets.ReadFirstPacket(strings.NewReader("\x20\xff\xff\xff\x7f\x00\x00"), packets.V5, 1<<30)
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want %v", err, io.ErrUnexpectedEOF)
		}
	})
	if got > 4096 {
		t.Errorf("%d bytes allocated for 7 that arrived", got)
	}
}

func TestAppendConnack(t *testing.T) {
	t.Parallel()
	for v, want := range map[packets.Version]string{
		packets.V31:  "head\x20\x02\x00\x05",
		packets.V311: "head\x20\x02\x00\x05",
		packets.V5:   "head\x20\x03\x00\x87\x00",
	} {
		got := packets.AppendConnack([]byte("head"), v, packets.ReturnNotAuthorized, packets.ReasonNotAuthorized)
		if string(got) != want {
			t.Errorf("%v: got %x, want %x", v, got, want)
		}
		p, err := packets.ReadFirstPacket(bytes.NewReader(got[len("head"):]), v, limit)
		if err != nil || p.Kind != packets.Connack || p.Code != want[len("head")+3] {
			t.Errorf("%v: read back %+v, %v", v, p, err)
		}
	}
}
