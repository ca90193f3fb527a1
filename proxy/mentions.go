// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/untrusted"
)

// Mentions reports whether text is part of something that is known of the connection, in any case, or a prefix that the
// client's address is in. Filter says what that is; the reason and the detail of one that has ended are looked at, too.
func (c *SessionInfo) Mentions(text string) bool {
	s := newSearch(text)
	if s.isIn([]string{c.Owner, c.ClientID, c.Subject, c.Issuer, c.Serial, c.Backend, c.Detail}) || s.isAddress(c.Remote) || s.isFingerprint(c.Fingerprint) {
		return true
	}
	return c.ID != 0 && s.isIn([]string{c.ID.String()}) || c.Reason != 0 && s.isIn([]string{c.Reason.String()})
}

// leastFingerprint is how long a part of a fingerprint has to be: shorter ones are found in too many.
const leastFingerprint = 6

// A search looks for a text in many sessions. What cannot hold the text is not even written down: that would cost more than
// all the rest. It is for one goroutine.
type search struct {
	text      []byte       // in lower case
	fact      []byte       // room for what the text is looked for in
	prefix    netip.Prefix // of addresses, if the text is one
	hex       []byte       // the text without colons, if it may be a part of a fingerprint
	inAddress bool         // whether it may be part of an address and port
	inID      bool         // whether it may be part of a session's id
}

func newSearch(text string) *search {
	s := &search{text: appendLower(nil, text)}
	lower := string(s.text)
	s.inAddress = strings.Trim(lower, "0123456789abcdef.:[]%") == ""
	s.inID = strings.Trim(lower, "0123456789abcdefghijklmnopqrstuvwxyz") == ""
	if hex := strings.ReplaceAll(lower, ":", ""); len(hex) >= leastFingerprint && strings.Trim(hex, "0123456789abcdef") == "" {
		s.hex = []byte(hex)
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		addr = addr.Unmap()
		s.prefix = netip.PrefixFrom(addr, addr.BitLen())
	} else if prefix, err := netip.ParsePrefix(text); err == nil {
		s.prefix = prefix
	}
	return s
}

// finds is SessionInfo.Mentions for a live session.
func (s *search) finds(c *session) bool {
	facts := [...]string{untrusted.Text(c.owner), untrusted.Text(c.clientID), c.backendAddr, "", "", ""}
	if cert := c.certificate; cert != nil {
		facts[3], facts[4], facts[5] = cert.subject, cert.issuer, cert.serial
	}
	return s.isIn(facts[:]) ||
		s.prefix.IsValid() && s.prefix.Contains(ipOf(c.client.RemoteAddr())) ||
		s.inAddress && s.isAddress(c.client.RemoteAddr().String()) ||
		s.hex != nil && c.certificate != nil && s.isFingerprint(c.certificate.fp.String()) ||
		s.inID && s.isIn([]string{c.live.id.String()})
}

// isIn reports whether a fact has the text in it.
func (s *search) isIn(facts []string) bool {
	return slices.ContainsFunc(facts, func(fact string) bool { return s.holds(fact, s.text) })
}

// isAddress reports whether the text is part of an address and port, or an address or a prefix that it is in.
func (s *search) isAddress(remote string) bool {
	if s.holds(remote, s.text) {
		return true
	}
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && s.prefix.Contains(addr.Addr().Unmap())
}

// isFingerprint reports whether the text is part of a fingerprint, with or without its colons.
func (s *search) isFingerprint(fingerprint string) bool {
	return s.hex != nil && s.holds(strings.ReplaceAll(fingerprint, ":", ""), s.hex)
}

// holds reports whether text, which is in lower case, is in fact, whatever the case of its ASCII letters. A client has chosen
// the fact, and whoever may see the page the text: to compare them at each place would take the product of their lengths.
func (s *search) holds(fact string, text []byte) bool {
	if len(text) > len(fact) {
		return false
	}
	s.fact = appendLower(s.fact[:0], fact)
	return bytes.Contains(s.fact, text)
}

// appendLower appends text to b, with its ASCII letters in lower case.
func appendLower(b []byte, text string) []byte {
	b = slices.Grow(b, len(text))
	for i := range len(text) {
		c := text[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
