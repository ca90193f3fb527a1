// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package outbound_test

import (
	"net/url"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/internal/outbound"
)

func hosts(t *testing.T, text string) outbound.Hosts {
	t.Helper()
	var h outbound.Hosts
	if err := h.UnmarshalText([]byte(text)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHostsAllowWhatTheyName(t *testing.T) {
	t.Parallel()
	list := "crl.example.org, CA.example.org:8080,*.pki.example.net,192.0.2.7,[2001:db8::1]:81,2001:DB8:0:0::2,[2001:db8::3],acl_service"
	h := hosts(t, list)
	for raw, want := range map[string]bool{
		"http://crl.example.org/a.crl":         true,
		"HTTP://CRL.Example.ORG./a.crl":        true,
		"https://crl.example.org/a.crl":        true,
		"http://crl.example.org:80/":           true,
		"http://crl.example.org:443/":          false,
		"http://crl.example.org:22/":           false,
		"ftp://crl.example.org/":               false,
		"ldap://crl.example.org/":              false,
		"file:///etc/passwd":                   false,
		"//crl.example.org/":                   false,
		"http://ca.example.org:8080/":          true,
		"http://ca.example.org/":               false,
		"http://a.b.pki.example.net/":          true,
		"http://pki.example.net/":              false,
		"http://evilpki.example.net/":          false,
		"http://x.crl.example.org/":            false,
		"http://crl.example.org.evil.test/":    false,
		"http://crl.example.org@evil.test/":    false,
		"http://192.0.2.7/":                    true,
		"http://192.0.2.8/":                    false,
		"http://[2001:db8::1]:81/":             true,
		"http://[2001:db8::2]/":                true,
		"http://[2001:db8::1]/":                false,
		"http://[2001:db8:0::3]/":              true,
		"http://acl_service/":                  true,
		"http://169.254.169.254/latest/":       false,
		"http://crl.example.org%00.evil.test/": false,
	} {
		u, err := url.Parse(raw)
		if got := err == nil && h.Allows(u); got != want {
			t.Errorf("%s: allowed %v, want %v", raw, got, want)
		}
	}
}

func TestHostsOfURLsOfTheOperatorAreAllowed(t *testing.T) {
	t.Parallel()
	var none outbound.Hosts
	u, _ := url.Parse("http://169.254.10.1:8080/ca.crl")
	h := none.With(u)
	if !h.Allows(u) || none.Allows(u) {
		t.Error("a URL of the operator is not allowed by itself, or by a list without it")
	}
	if other, _ := url.Parse("http://169.254.10.1/"); h.Allows(other) {
		t.Error("another port of its host is allowed, too")
	}
}

func TestHostsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ",", "a,,b", "*", "*.", "a.*.b", "http://a", "a:0", "a:http", "a:70000", "a/b", "*.192.0.2.1", "a b", "[::1", "[a.example", "[a.example]", "[192.0.2.1]", "::%]]", "fe80::1%eth0", "[fe80::1%eth0]:80", ".a", "*.*.a"} {
		var h outbound.Hosts
		if err := h.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q: accepted as %q", text, h.Names())
		}
	}
}

func FuzzHosts(f *testing.F) {
	f.Add("crl.example.org,*.a.b:80", "http://x.a.b/")
	f.Add("[::1]:80,::2", "https://[::2]/")
	f.Fuzz(func(t *testing.T, list, raw string) {
		var h, again outbound.Hosts
		if h.UnmarshalText([]byte(list)) != nil {
			return
		}
		names := h.Names()
		var text string
		for i, name := range names {
			if i > 0 {
				text += ","
			}
			text += name
		}
		if err := again.UnmarshalText([]byte(text)); err != nil || !slices.Equal(again.Names(), names) {
			t.Fatalf("%q is written as %q, which is read as %q (%v)", list, text, again.Names(), err)
		}
		if u, err := url.Parse(raw); err == nil && h.Allows(u) != again.Allows(u) {
			t.Errorf("%q and %q do not allow the same: %s", list, text, raw)
		}
	})
}
