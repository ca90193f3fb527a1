// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"math/rand/v2"
	"net"
	"strings"
	"testing"
)

// lowerASCII is what a search makes of letters, spelled out.
func lowerASCII(text string) string {
	return strings.NewReplacer("A", "a", "B", "b", "K", "k").Replace(text)
}

// Whatever clients call themselves: a text is found where it is, in any case of ASCII letters, and nowhere else.
func TestTextIsFoundInAnyCase(t *testing.T) {
	t.Parallel()
	letters := []string{"a", "A", "b", "B", "k", "K", "\u212a", "Ü", "ü", "\xff"} // U+212A is the Kelvin sign, and no K
	word := func(most int) string {
		var b strings.Builder
		for range rand.IntN(most) {
			b.WriteString(letters[rand.IntN(len(letters))])
		}
		return b.String()
	}
	for range 20_000 {
		text := word(4)
		s := newSearch(text)
		facts := []string{word(100), word(10), ""} // long ones before short ones
		want := strings.Contains(lowerASCII(strings.Join(facts, "\n")), lowerASCII(text))
		if got := s.isIn(facts); got != want {
			t.Fatalf("%q in %q: got %v, want %v", text, facts, got, want)
		}
	}
	long := strings.Repeat("a", 300)
	for text, want := range map[string]bool{long + "B": true, long: true, long + "c": false, long + long: false} {
		if got := newSearch(text).isIn([]string{strings.Repeat("A", 200) + long + "b"}); got != want {
			t.Errorf("%.3q… of %d bytes: got %v, want %v", text, len(text), got, want)
		}
	}
}

// An operator's search looks at each session, and makes no garbage of what it looks at.
func TestSearchDoesNotAllocate(t *testing.T) {
	s := newSearch("Nobody")
	c := &session{owner: "Acme:Lamp", clientID: strings.Repeat("A", 500), backendAddr: "VerneMQ:1883", certificate: &certificate{subject: "CN=Lamp"}}
	c.client.Open(addressed{nil, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 40000}})
	if n := testing.AllocsPerRun(100, func() { s.finds(c) }); n > 1 {
		t.Errorf("%v allocations per session, want at most one for its id", n)
	}
}
