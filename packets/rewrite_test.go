// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package packets_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vernegate/vernegate/packets"
)

func withUsername(c *packets.Connect, name string) ([]byte, error) {
	return c.Rewrite(packets.Edit{Username: &name})
}

func withUsernameAlone(c *packets.Connect, name string) ([]byte, error) {
	return c.Rewrite(packets.Edit{Username: &name, DropPassword: true})
}

func TestRewriteUsernameOfRealClients(t *testing.T) {
	t.Parallel()
	for name, want := range capturedPackets(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := withUsername(mustRead(t, want.sent), "admin:dev1")
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

func TestRewriteUsernameChangesNothingElse(t *testing.T) {
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
func TestRewriteUsernameOfEveryLength(t *testing.T) {
	t.Parallel()
	b := full311().bytes()
	for _, n := range []int{1, 2, 79, 80, 81, 127, 128, 16_000, 17_000, 65_534, 65_535} {
		spliced, err := withUsername(mustRead(t, b), strings.Repeat("o", n))
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		c := mustRead(t, spliced)
		if name, _ := c.Username(); len(name) != n {
			t.Errorf("username of %d bytes, want %d", len(name), n)
		}
		if back, err := withUsername(c, "impostor"); err != nil || !bytes.Equal(back, b) {
			t.Errorf("username of %d bytes and back: %v\ngot  %x\nwant %x", n, err, back, b)
		}
	}
}

// Byte for byte, what becomes of a whole CONNECT of each version.
func TestRewriteWithoutPasswordTakesOutThePasswordAndItsFlag(t *testing.T) {
	t.Parallel()
	for _, c := range []connect{full31(), full311(), full5()} {
		got, err := withUsernameAlone(mustRead(t, c.bytes()), "admin:dev1")
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
	got, err := withUsernameAlone(mustRead(t, token.bytes()), "admin:dev1")
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
func TestRewriteWithoutPasswordOfMissingStrings(t *testing.T) {
	t.Parallel()
	whole := full31()
	want := whole
	want.flags &^= 0x40
	want.username = "admin:dev1"
	old := whole.body()
	for _, missing := range []int{len("xxsecret"), len("xxsecret") + len("xximpostor")} {
		got, err := withUsernameAlone(mustRead(t, packet(0x10, old[:len(old)-missing])), "admin:dev1")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.bytes()) {
			t.Errorf("without the last %d bytes:\ngot  %x\nwant %x", missing, got, want.bytes())
		}
	}
}

func TestRewriteUsernameRefuses(t *testing.T) {
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
		for _, rewrite := range []func(*packets.Connect, string) ([]byte, error){withUsername, withUsernameAlone} {
			if b, err := rewrite(c, owner); !errors.Is(err, packets.ErrUsername) {
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

	spliced, err := withUsername(before, owner)
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
	if again, err := withUsername(after, owner); err != nil || !bytes.Equal(again, spliced) {
		t.Errorf("spliced twice: %v\ngot  %x\nwant %x", err, again, spliced)
	}
	if had && old != "" {
		back, err := withUsername(after, old)
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
	stripped, err := withUsernameAlone(sent, owner)
	if err != nil {
		t.Fatalf("stripping %v: %v", sent, err)
	}
	after := mustRead(t, stripped)
	if after.HasPassword() {
		t.Errorf("got %x, which has a password", stripped)
	}
	if again, err := withUsernameAlone(after, owner); err != nil || !bytes.Equal(again, stripped) {
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
	if sent.HasPassword() && (len(password) < 2 || int(binary.BigEndian.Uint16(password)) != len(password)-2) {
		t.Errorf("took %x out, want the password with its length", password)
	}
	if !sent.HasPassword() && len(password) > 0 {
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

// pieces are the parts of an accepted CONNECT, taken apart without the package's
// help: what precedes the client id, the Will, and the strings with their lengths.
// The username and the password are empty where they are not.
type pieces struct{ head, clientID, will, username, password []byte }

func takeApart(sent []byte) (p pieces) {
	body := sent[headerSize(sent):]
	at := 2 + int(binary.BigEndian.Uint16(body)) // behind the name of the protocol
	level, flags := body[at]&0x7f, body[at+1]
	at += 4
	properties := func() {
		if level == 5 {
			size, n := binary.Uvarint(body[at:])
			at += n + int(size)
		}
	}
	text := func() []byte {
		from := at
		at += 2 + int(binary.BigEndian.Uint16(body[at:]))
		return body[from:at]
	}
	properties()
	p.head = body[:at]
	p.clientID = text()
	from := at
	if flags&0x04 != 0 {
		properties()
		text()
		text()
	}
	p.will = body[from:at]
	if flags&0x80 != 0 && at < len(body) { // 3.1 lets a client leave it out
		p.username = text()
	}
	p.password = body[at:]
	return p
}

// want is what an edit has to make of sent.
func want(sent []byte, e packets.Edit) []byte {
	p := takeApart(sent)
	head := bytes.Clone(p.head)
	flags := 2 + int(binary.BigEndian.Uint16(head)) + 1
	if e.ClientID != nil {
		p.clientID = field(nil, *e.ClientID)
	}
	if e.Username != nil {
		p.username = field(nil, *e.Username)
		head[flags] |= 0x80
	}
	if e.DropPassword {
		p.password = nil
		head[flags] &^= 0x40
	}
	return packet(0x10, bytes.Join([][]byte{head, p.clientID, p.will, p.username, p.password}, nil))
}

// checkRewrite compares each combination of edits with what it has to be.
func checkRewrite(t *testing.T, sent []byte, username, clientID string) {
	t.Helper()
	c := mustRead(t, sent)
	for edits := range 8 {
		var e packets.Edit
		if edits&1 != 0 {
			e.Username = &username
		}
		if edits&2 != 0 {
			e.ClientID = &clientID
		}
		e.DropPassword = edits&4 != 0
		got, err := c.Rewrite(e)
		if err != nil {
			legal := !errors.Is(err, packets.ErrUsername) && !errors.Is(err, packets.ErrClientID)
			if isText := func(s string) bool {
				return s != "" && len(s) <= 65_535 && utf8.ValidString(s) && !strings.Contains(s, "\x00")
			}; legal || isText(username) && isText(clientID) {
				t.Fatalf("edits %03b of %x: %v", edits, sent, err)
			}
			continue
		}
		if want := want(sent, e); !bytes.Equal(got, want) {
			t.Fatalf("edits %03b of %x\ngot  %x\nwant %x", edits, sent, got, want)
		}
		mustRead(t, got)
	}
}

func TestRewriteChangesWhatItIsToldTo(t *testing.T) {
	t.Parallel()
	for _, c := range []connect{full31(), full311(), full5()} {
		checkRewrite(t, c.bytes(), "admin:dev1", "admin:dev1-c1")
		checkRewrite(t, c.bytes(), strings.Repeat("u", 65_535), strings.Repeat("c", 200))
	}
}

func TestRewriteRefusesClientIDs(t *testing.T) {
	t.Parallel()
	persistent := full311()
	persistent.flags &^= 0x02 // clean session
	empty, long, null := "", strings.Repeat("c", 65_536), "a\x00"
	for name, row := range map[string]struct {
		connect connect
		id      *string
		good    bool
	}{
		"empty, 3.1":                         {full31(), &empty, false},
		"empty, 3.1.1, session that is kept": {persistent, &empty, false},
		"empty, 3.1.1":                       {full311(), &empty, true},
		"empty, 5.0":                         {full5(), &empty, true},
		"too long":                           {full5(), &long, false},
		"with U+0000":                        {full5(), &null, false},
	} {
		_, err := mustRead(t, row.connect.bytes()).Rewrite(packets.Edit{ClientID: row.id})
		if row.good && err != nil || !row.good && !errors.Is(err, packets.ErrClientID) {
			t.Errorf("%s: got %v, want it accepted: %t", name, err, row.good)
		}
	}
}

// Whatever the packet and the edit: what the edit does not name is as it was, byte
// for byte, and the result is a CONNECT again.
func FuzzRewrite(f *testing.F) {
	for _, c := range capturedPackets(f) {
		f.Add(c.sent, "admin:dev1", "c1")
	}
	for _, c := range []connect{full31(), full311(), full5()} {
		f.Add(c.bytes(), "admin:dev1", "")
	}
	f.Fuzz(func(t *testing.T, sent []byte, username, clientID string) {
		c, err := read(sent)
		if err != nil {
			return
		}
		checkRewrite(t, sent[:c.Size()], username, clientID)
	})
}
