// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/truststore"
)

// ticketKey is a key that consists of one byte.
func ticketKey(b byte) (key [32]byte) {
	copy(key[:], bytes.Repeat([]byte{b}, len(key)))
	return key
}

func hexKey(b byte) string {
	key := ticketKey(b)
	return hex.EncodeToString(key[:])
}

func base64Key(b byte) string {
	key := ticketKey(b)
	return base64.StdEncoding.EncodeToString(key[:])
}

func TestTicketKeysAreReadInOrder(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.write("1.keys", []byte("# since May\n"+hexKey(1)+"\n\n  "+strings.ToUpper(hexKey(0xAB))+"\r\n"))
	v.write("2.keys", []byte(base64Key(2))) // without an end of line
	config := v.config()
	config.TicketKeys = []string{v.path("1.keys"), v.path("2.keys")}
	g := open(t, config).Current()
	want := [][32]byte{ticketKey(1), ticketKey(0xAB), ticketKey(2)}
	if got := g.TicketKeys(); !slices.Equal(got, want) {
		t.Errorf("got keys %x, want %x", got, want)
	}
	if files := g.Files(); files[len(files)-1].Path != v.path("2.keys") {
		t.Errorf("got files %v, want those of ticket keys among them", files)
	}
	if got := open(t, v.config()).Current().TicketKeys(); got != nil {
		t.Errorf("got keys %x without a file of them", got)
	}
}

func TestBadTicketKeysAreRefused(t *testing.T) {
	t.Parallel()
	short := hexKey(7)[:62]
	for name, test := range map[string]struct{ content, want string }{
		"nothing":       {"", "holds no key"},
		"only comments": {"# " + hexKey(1) + "\n\n", "holds no key"},
		"short hex":     {hexKey(1) + "\n" + short + "\n", "line 2: not 32 bytes"},
		"short base64":  {base64.StdEncoding.EncodeToString(make([]byte, 31)), "line 1: not 32 bytes"},
		"long base64":   {base64.StdEncoding.EncodeToString(make([]byte, 33)), "line 1: not 32 bytes"},
		"no hex":        {strings.Repeat("xy", 32), "line 1: not 32 bytes"},
		"two on a line": {hexKey(1) + " " + hexKey(2), "line 1: not 32 bytes"},
		"too many":      {strings.Repeat(hexKey(1)+"\n", 17), "17 ticket keys, more than 16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			v.write("ticket.keys", []byte(test.content))
			config := v.config()
			config.TicketKeys = []string{v.path("ticket.keys")}
			_, err := truststore.Open(t.Context(), config)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got error %v, want one that tells: %s", err, test.want)
			}
			if strings.Contains(err.Error(), short) {
				t.Errorf("the error quotes what is in the file: %v", err)
			}
		})
	}
}

func TestTicketKeysFollowTheirFile(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.write("ticket.keys", []byte(hexKey(1)))
	config := v.config()
	config.TicketKeys = []string{v.path("ticket.keys")}
	store := open(t, config)
	for _, step := range []struct {
		content string
		good    bool
		want    byte // the first key then
	}{
		{hexKey(2) + "\n" + hexKey(1), true, 2},
		{hexKey(3)[:40], false, 2},
		{"", false, 2},
		{hexKey(3) + "\n" + hexKey(2), true, 3},
	} {
		v.write("ticket.keys", []byte(step.content))
		if err := store.Reload(t.Context()); (err == nil) != step.good {
			t.Errorf("%q: got error %v, want good: %v", step.content, err, step.good)
		}
		if got := store.Current().TicketKeys()[0]; got != ticketKey(step.want) {
			t.Errorf("%q: got first key %x, want %s", step.content, got, hexKey(step.want))
		}
	}
	v.remove("ticket.keys")
	if err := store.Reload(t.Context()); err == nil || store.Current().TicketKeys()[0] != ticketKey(3) {
		t.Errorf("got error %v and key %x without the file, want an error and the last key", err, store.Current().TicketKeys()[0])
	}
}
