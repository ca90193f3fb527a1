// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/packets"
)

func TestWithUsernameOfRealClients(t *testing.T) {
	t.Parallel()
	for name, want := range capturedPackets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := mustRead(t, want.sent).WithUsername("admin:dev1")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.spliced) {
				t.Errorf("got  %x\nwant %x", got, want.spliced)
			}
			checkSplice(t, want.sent)
		})
	}
}

func TestWithUsernameChangesNothingElse(t *testing.T) {
	t.Parallel()
	for _, base := range []connect{full31(), full311(), full5()} {
		checkSplice(t, base.bytes())

		c := base
		c.username = ""
		checkSplice(t, c.bytes())

		c = base
		c.flags &^= 0b1100_0000 // neither username nor password
		checkSplice(t, c.bytes())

		c.flags = 0b0000_0010 // and no will
		checkSplice(t, c.bytes())
	}

	token := full5()
	token.flags &^= 0x80
	checkSplice(t, token.bytes())

	old := full31().body()
	for _, missing := range []int{len("xxsecret"), len("xxsecret") + len("xximpostor")} {
		checkSplice(t, packet(0x10, old[:len(old)-missing]))
	}
}

// The remaining length takes another byte from 128 on.
func TestWithUsernameOfEveryLength(t *testing.T) {
	t.Parallel()
	b := full311().bytes()
	for _, n := range []int{1, 2, 79, 80, 81, 127, 128, 16_000, 17_000, 65_534, 65_535} {
		spliced, err := mustRead(t, b).WithUsername(strings.Repeat("o", n))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		c := mustRead(t, spliced)
		if name, _ := c.Username(); len(name) != n {
			t.Errorf("username of %d bytes, want %d", len(name), n)
		}
		if back, err := c.WithUsername("impostor"); err != nil || !bytes.Equal(back, b) {
			t.Errorf("username of %d bytes and back: %v\ngot  %x\nwant %x", n, err, back, b)
		}
	}
}

// Byte for byte, what becomes of a whole CONNECT of each version.
func TestWithUsernameAloneTakesOutThePasswordAndItsFlag(t *testing.T) {
	t.Parallel()
	for _, c := range []connect{full31(), full311(), full5()} {
		got, err := mustRead(t, c.bytes()).WithUsernameAlone("admin:dev1")
		if err != nil {
			t.Fatal(err)
		}
		want := c
		want.flags &^= 0x40
		want.username = "admin:dev1"
		if !bytes.Equal(got, want.bytes()) {
			t.Errorf("level %d:\ngot  %x\nwant %x", c.level, got, want.bytes())
		}
	}

	token := full5() // of 5.0: a password without a username
	token.flags &^= 0x80
	got, err := mustRead(t, token.bytes()).WithUsernameAlone("admin:dev1")
	if err != nil {
		t.Fatal(err)
	}
	want := full5()
	want.flags &^= 0x40
	want.username = "admin:dev1"
	if !bytes.Equal(got, want.bytes()) {
		t.Errorf("token:\ngot  %x\nwant %x", got, want.bytes())
	}
}

// 3.1 lets a client leave out what its flags announce.
func TestWithUsernameAloneOfMissingStrings(t *testing.T) {
	t.Parallel()
	whole := full31()
	want := whole
	want.flags &^= 0x40
	want.username = "admin:dev1"
	old := whole.body()
	for _, missing := range []int{len("xxsecret"), len("xxsecret") + len("xximpostor")} {
		got, err := mustRead(t, packet(0x10, old[:len(old)-missing])).WithUsernameAlone("admin:dev1")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.bytes()) {
			t.Errorf("without the last %d bytes:\ngot  %x\nwant %x", missing, got, want.bytes())
		}
	}
}

func TestWithUsernameRefuses(t *testing.T) {
	t.Parallel()
	c := mustRead(t, full311().bytes())
	for name, owner := range map[string]string{
		"empty":        "",
		"too long":     strings.Repeat("o", 65_536),
		"ill-formed":   "tenant:\xff",
		"surrogate":    "tenant:\xed\xa0\x80",
		"with U+0000":  "tenant:\x00",
		"U+0000 first": "\x00tenant",
	} {
		for _, splice := range []func(string) ([]byte, error){c.WithUsername, c.WithUsernameAlone} {
			if b, err := splice(owner); !errors.Is(err, packets.ErrUsername) {
				t.Errorf("%s: got %x, %v; want %v", name, b, err, packets.ErrUsername)
			}
		}
	}
}

// checkSplice gives sent, an accepted packet, other usernames and checks that
// only they are different then.
func checkSplice(t *testing.T, sent []byte) {
	t.Helper()
	const owner = "admin:dev1"
	before := mustRead(t, sent)
	old, had := before.Username()

	spliced, err := before.WithUsername(owner)
	if err != nil {
		t.Fatalf("splicing %x: %v", sent, err)
	}
	after := mustRead(t, spliced)
	if name, ok := after.Username(); name != owner || !ok {
		t.Errorf("username %q, %t; want %q", name, ok, owner)
	}
	if got, want := withoutUsername(after), withoutUsername(before); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if again, err := after.WithUsername(owner); err != nil || !bytes.Equal(again, spliced) {
		t.Errorf("spliced twice: %v\ngot  %x\nwant %x", err, again, spliced)
	}
	if had && old != "" {
		back, err := after.WithUsername(old)
		if err != nil || !bytes.Equal(back[headerSize(back):], sent[headerSize(sent):]) {
			t.Errorf("spliced back: %v\ngot  %x\nwant %x", err, back, sent)
		}
	}
	checkBytes(t, sent, spliced, old, had, owner)
	checkStrip(t, before, spliced, owner)
}

// checkStrip takes the password out, too, and checks that this is the only
// difference to spliced.
func checkStrip(t *testing.T, sent *packets.Connect, spliced []byte, owner string) {
	t.Helper()
	stripped, err := sent.WithUsernameAlone(owner)
	if err != nil {
		t.Fatalf("stripping %v: %v", sent, err)
	}
	after := mustRead(t, stripped)
	if after.HasPassword {
		t.Errorf("got %x, which has a password", stripped)
	}
	if again, err := after.WithUsernameAlone(owner); err != nil || !bytes.Equal(again, stripped) {
		t.Errorf("stripped twice: %v\ngot  %x\nwant %x", err, again, stripped)
	}

	body := bytes.Clone(spliced[headerSize(spliced):])
	flags := 2 + int(binary.BigEndian.Uint16(body)) + 1
	body[flags] &^= 0x40
	got := stripped[headerSize(stripped):]
	password, ok := bytes.CutPrefix(body, got)
	if want := packet(0x10, got); !ok || !bytes.Equal(stripped, want) {
		t.Errorf("more than the password changed\nfrom %x\nto   %x", spliced, stripped)
	}
	if sent.HasPassword && (len(password) < 2 || int(binary.BigEndian.Uint16(password)) != len(password)-2) {
		t.Errorf("took %x out, want the password with its length", password)
	}
	if !sent.HasPassword && len(password) > 0 {
		t.Errorf("took %x out, but there was no password", password)
	}
}

// checkBytes looks for the one place in sent where taking out the old field,
// if there was one, and putting in the new one makes spliced.
func checkBytes(t *testing.T, sent, spliced []byte, old string, had bool, owner string) {
	t.Helper()
	body := bytes.Clone(sent[headerSize(sent):])
	body[2+int(binary.BigEndian.Uint16(body))+1] |= 0x80
	var oldField []byte
	if had {
		oldField = field(nil, old)
	}
	for i := range len(body) - len(oldField) + 1 {
		if !bytes.HasPrefix(body[i:], oldField) {
			continue
		}
		want := append(field(body[:i:i], owner), body[i+len(oldField):]...)
		if bytes.Equal(spliced, packet(0x10, want)) {
			return
		}
	}
	t.Errorf("more than the username changed\nfrom %x\nto   %x", sent, spliced)
}

// headerSize returns the length of a packet's fixed header.
func headerSize(b []byte) int {
	_, n := binary.Uvarint(b[1:])
	return 1 + n
}

func withoutUsername(c *packets.Connect) string {
	fields, _, _ := strings.Cut(describe(c), "username: ")
	return fields
}
