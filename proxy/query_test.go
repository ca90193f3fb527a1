// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// fill establishes a session of 3.1.1 for each owner, all with certificates of their own.
func fill(t *testing.T, owners ...string) (g *gate, certs map[pki.Fingerprint]string) {
	t.Helper()
	certs = make(map[pki.Fingerprint]string)
	b := startBroker(t)
	g = startGate(t, func(c *proxy.Config) {
		brokers(b)(c)
		c.Owner = func(_ context.Context, peer proxy.Peer) (string, bool, error) {
			return certs[peer.Fingerprint], true, nil
		}
	})
	for _, owner := range owners {
		cert := testPKI().ca.Issue(owner)
		certs[pki.FingerprintOf(cert.Leaf)] = owner
		enter(g, b, cert)
	}
	return g, certs
}

// enter establishes a session whatever its CONNECT looks like at the broker.
func enter(g *gate, b *broker, cert *certtest.Cert) (client, backend net.Conn) {
	g.t.Helper()
	client = g.dial(cert)
	write(g.t, client, connect311)
	backend = b.accept()
	write(g.t, backend, connack311)
	wantBytes(g.t, client, connack311)
	return client, backend
}

func ownersOf(page []proxy.SessionInfo) (owners []string) {
	for _, c := range page {
		owners = append(owners, c.Owner)
	}
	return owners
}

func TestSessionsAreListedInPages(t *testing.T) {
	t.Parallel()
	all := []string{"a:1", "b:1", "a:2", "service", "a:3"}
	g, _ := fill(t, all...)
	var got []string
	var after proxy.SessionID
	for more := true; more; {
		var page []proxy.SessionInfo
		page, more = g.Sessions(proxy.Filter{}, after, 2)
		if len(page) == 0 || len(page) > 2 {
			t.Fatalf("got a page of %d", len(page))
		}
		got = append(got, ownersOf(page)...)
		after = page[len(page)-1].ID
	}
	if !slices.Equal(got, all) {
		t.Errorf("got %q, want %q", got, all)
	}
	if n, m := g.Count(proxy.Devices), g.Count(proxy.Services); n != len(all) || m != 0 {
		t.Errorf("got %d sessions of devices and %d of services, want %d and none", n, m, len(all))
	}
	if used, limit := g.Descriptors(); used < 2*len(all) || limit != 0 {
		t.Errorf("%d descriptors of %d are used, want two for each session and no limit", used, limit)
	}
	if got, want := ownersOf(g.Newest(2)), []string{"a:3", "service"}; !slices.Equal(got, want) {
		t.Errorf("the newest are %q, want %q", got, want)
	}
	want := map[string]int{"a:1": 1, "b:1": 1, "a:2": 1, "service": 1, "a:3": 1}
	if got := maps.Collect(g.Owners()); !maps.Equal(got, want) {
		t.Errorf("got owners %v, want %v", got, want)
	}
}

func TestSessionsAreFiltered(t *testing.T) {
	t.Parallel()
	g, certs := fill(t, "a:1", "b:1", "a:1")
	page, _ := g.Sessions(proxy.Filter{}, 0, 10)
	second := page[1].ID
	var ofB pki.Fingerprint
	for fp, owner := range certs {
		if owner == "b:1" {
			ofB = fp
		}
	}
	devices, services := proxy.Devices, proxy.Services
	for name, test := range map[string]struct {
		f    proxy.Filter
		want []string
	}{
		"owner":                 {proxy.Filter{Owner: "a:1"}, []string{"a:1", "a:1"}},
		"no such owner":         {proxy.Filter{Owner: "a:"}, nil},
		"fingerprint":           {proxy.Filter{Fingerprint: ofB}, []string{"b:1"}},
		"no such fingerprint":   {proxy.Filter{Fingerprint: pki.Fingerprint{1}}, nil},
		"fingerprint and owner": {proxy.Filter{Fingerprint: ofB, Owner: "a:1"}, nil},
		"id":                    {proxy.Filter{ID: second}, []string{"b:1"}},
		"id between others":     {proxy.Filter{ID: 1}, nil},
		"address":               {proxy.Filter{Address: netip.MustParsePrefix("127.0.0.0/8")}, []string{"a:1", "b:1", "a:1"}},
		"another address":       {proxy.Filter{Address: netip.MustParsePrefix("127.0.0.2/32")}, nil},
		"listener":              {proxy.Filter{Listener: &devices}, []string{"a:1", "b:1", "a:1"}},
		"other listener":        {proxy.Filter{Listener: &services}, nil},
		"text":                  {proxy.Filter{Text: "nobody"}, nil},
		"text: tenant":          {proxy.Filter{Text: "A:"}, []string{"a:1", "a:1"}},
		"text: client id":       {proxy.Filter{Text: page[1].ClientID}, []string{"a:1", "b:1", "a:1"}},
		"text: subject":         {proxy.Filter{Text: "cn=B:1"}, []string{"b:1"}},
		"text: issuer":          {proxy.Filter{Text: "CN=devices"}, []string{"a:1", "b:1", "a:1"}},
		"text: serial":          {proxy.Filter{Text: page[1].Serial}, []string{"b:1"}},
		"text: part of the id":  {proxy.Filter{Text: second.String()[1:]}, []string{"b:1"}},
		"text: fingerprint":     {proxy.Filter{Text: strings.ToLower(page[1].Fingerprint[:29])}, []string{"b:1"}},
		"text: without colons":  {proxy.Filter{Text: ofB.String()[:2] + strings.ReplaceAll(ofB.String()[2:29], ":", "")}, []string{"b:1"}},
		"text: address":         {proxy.Filter{Text: page[1].Remote}, []string{"b:1"}},
		"text: whole address":   {proxy.Filter{Text: "127.0.0.1"}, []string{"a:1", "b:1", "a:1"}},
		"text: prefix":          {proxy.Filter{Text: "127.0.0.0/8"}, []string{"a:1", "b:1", "a:1"}},
		"text: other prefix":    {proxy.Filter{Text: "128.0.0.0/8"}, nil},
		"text: broker":          {proxy.Filter{Text: page[1].Backend}, []string{"a:1", "b:1", "a:1"}},
		"text and owner":        {proxy.Filter{Text: "CN=a", Owner: "b:1"}, nil},
	} {
		page, more := g.Sessions(test.f, 0, 10)
		for _, c := range page {
			if text := test.f.Text; text != "" && !c.Mentions(text) {
				t.Errorf("%s: the session is found, and its description does not mention %q", name, text)
			}
		}
		if got := ownersOf(page); !slices.Equal(got, test.want) || more {
			t.Errorf("%s: got %q (more: %v), want %q", name, got, more, test.want)
		}
	}
	page, more := g.Sessions(proxy.Filter{Owner: "a:1"}, 0, 1)
	if len(page) != 1 || !more {
		t.Fatalf("got a page of %d (more: %v), want 1 and more", len(page), more)
	}
	if page, more = g.Sessions(proxy.Filter{Owner: "a:1"}, page[0].ID, 1); len(page) != 1 || more || page[0].ID < second {
		t.Errorf("got a second page of %d (more: %v), want the last one", len(page), more)
	}
}

// A live session and its log line are described in the same words.
func TestConnectionIsDescribedLikeItsLogLine(t *testing.T) {
	t.Parallel()
	b := startBroker(t)
	g := startGate(t, brokers(b))
	client, backend := session(g, b)
	write(t, client, pingreq)
	wantBytes(t, backend, pingreq)
	write(t, backend, pingresp)
	wantBytes(t, client, pingresp)
	var live map[string]any
	await(t, "the packets to be counted", func() bool {
		page, _ := g.Sessions(proxy.Filter{}, 0, 1)
		text, err := json.Marshal(page[0])
		if err != nil {
			t.Fatal(err)
		}
		live = map[string]any{}
		if err := json.Unmarshal(text, &live); err != nil {
			t.Fatal(err)
		}
		return live["packets_up"] == 1.0 && live["packets_down"] == 2.0
	})
	_ = backend.Close()
	_, _ = io.Copy(io.Discard, client)
	line := g.wantEnd(proxy.BackendClosed)
	for key, value := range live {
		if key != "since" && key != "issuer" && line[key] != value {
			t.Errorf("%s is %v while the session lives, and %v in the log", key, value, line[key])
		}
	}
	for key := range line {
		if _, ok := live[key]; !ok && !slices.Contains([]string{"time", "level", "msg", "reason", "disconnect", "duration", "err"}, key) {
			t.Errorf("%s is in the log and not in the description", key)
		}
	}
	if since, err := time.Parse(time.RFC3339Nano, live["since"].(string)); err != nil || time.Since(since) > patience {
		t.Errorf("since %v", live["since"])
	}
}
