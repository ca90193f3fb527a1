// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// pointScene is a root whose list is where the certificate of a CA below it says, and a device that it revokes.
type pointScene struct {
	*apptest.World
	t       *testing.T
	revoked *certtest.Cert
	hosts   []string
	log     bytes.Buffer

	config config.Config // of the last start
	lists  *listFetcher
	store  *truststore.Store
}

func newPointScene(t *testing.T) *pointScene {
	w := apptest.NewWorld(t)
	delete(w.Vars, "VERNEGATE_TLS_CRL")
	w.Vars["VERNEGATE_CRL_FROM_CDP"], w.Vars["VERNEGATE_STATE_DIR"] = "ca", t.TempDir()
	return &pointScene{World: w, t: t, revoked: w.Root.Issue("acme:gone")}
}

// publish serves a list from a host that is allowed from the next start on.
func (s *pointScene) publish(list []byte) string {
	s.t.Helper()
	at := s.Publish(list)
	u, err := url.Parse(at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.hosts = append(s.hosts, u.Host)
	s.Vars["VERNEGATE_CRL_HOSTS"] = strings.Join(s.hosts, ",")
	return at
}

// list is one of the root that revokes the device.
func (s *pointScene) list(opts certtest.CRLOptions) []byte {
	opts.Revoked = []*x509.Certificate{s.revoked.Leaf}
	return s.Root.CRL(opts)
}

// trusts makes the root and a CA below it the bundle, whose certificate says that the list of the root is at these URLs.
func (s *pointScene) trusts(points ...string) {
	below := s.Root.Intermediate("plant", certtest.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = points }))
	s.Write("ca.crt", certtest.CertsPEM(s.Root.Cert, below.Cert))
}

// start begins as a process does, with what the one before has left.
func (s *pointScene) start() {
	s.t.Helper()
	s.begin()
	s.open()
}

// begin does what comes before the trust files are read.
func (s *pointScene) begin() {
	s.t.Helper()
	s.config = mustLoad(s.t, s.Environ()...)
	var err error
	if s.lists, err = newListFetcher(s.config, nil, s.logger(), nil); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.lists.close)
}

// open does the rest.
func (s *pointScene) open() {
	s.t.Helper()
	trust := trustConfig(s.config, s.logger())
	trust.Remotes = s.lists.remotes
	trust.OnSwap = s.lists.swapped
	var err error
	if s.store, err = openTrust(s.t.Context(), s.config, trust); err != nil {
		s.t.Fatal(err)
	}
	s.lists.open(s.store)
}

func (s *pointScene) logger() *slog.Logger { return slog.New(slog.NewTextHandler(&s.log, nil)) }

// settle fetches and reads everything until nothing follows from it any more.
func (s *pointScene) settle() {
	s.t.Helper()
	for range 3 {
		s.lists.fetcher.FetchOnce(s.t.Context())
		_ = s.store.Reload(s.t.Context()) // which refuses what is older
	}
}

// await waits until the first list is as a test wants it.
func (s *pointScene) await(what string, is func(crlfetch.Status) bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(s.lists.status()[0]); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited for %s; it is %+v", what, s.lists.status()[0])
		}
	}
}

// wants checks where the lists are from, and whether the device is revoked.
func (s *pointScene) wants(when string, revoked bool, urls ...string) {
	s.t.Helper()
	var followed []string
	for _, source := range s.lists.status() {
		followed = append(followed, source.URL)
	}
	if !slices.Equal(followed, urls) {
		s.t.Errorf("%s: followed are %v, want %v", when, followed, urls)
	}
	_, err := s.store.Current().Verify(s.revoked.Chain(), nil, time.Now())
	if errors.Is(err, pki.ErrRevoked) != revoked {
		s.t.Errorf("%s: got %v, want the device revoked %v", when, err, revoked)
	}
}

// TestAListIsKeptUntilAnotherOneTakesItsPlace, also when the certificate that named it says another place now.
func TestAListIsKeptUntilAnotherOneTakesItsPlace(t *testing.T) {
	t.Parallel()
	s := newPointScene(t)
	before := s.publish(s.list(certtest.CRLOptions{Number: 7}))
	broken := s.publish(nil)
	older := s.publish(s.Root.CRL(certtest.CRLOptions{Number: 6, ThisUpdate: time.Now().Add(-time.Hour)}))
	after := s.publish(s.list(certtest.CRLOptions{Number: 8}))
	const elsewhere = "http://elsewhere.example.org/ca.crl" // which may not be called
	s.trusts(before)
	s.start()
	s.settle()
	s.wants("at first", true, before)

	s.trusts(elsewhere)
	s.settle()
	s.wants("when the CA names a host that is not allowed", true, before)
	s.trusts(broken)
	s.settle()
	s.wants("when it names a server without a list", true, broken, before)
	s.trusts()
	s.settle()
	s.wants("when it names none", true, before)
	if n := strings.Count(s.log.String(), "although nothing names it any more"); n != 1 {
		t.Errorf("it is logged %d times:\n%s", n, s.log.String())
	}
	s.start()
	s.wants("after a restart", true, before)

	s.trusts(older)
	s.settle()
	s.wants("when it names an older list", true, older, before)
	s.trusts(after)
	s.settle()
	s.wants("when it names a newer one", true, after)

	s.Write("ca.crt", certtest.NewCA("other").PEM())
	s.settle()
	s.wants("without the CA", false)
}

// TestADeltaIsKeptUntilItsListHasCaughtUp, also when the list does not name it any more, and when it does not apply to that list yet.
func TestADeltaIsKeptUntilItsListHasCaughtUp(t *testing.T) {
	t.Parallel()
	for name, base := range map[string]byte{"applies": 5, "ahead": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPointScene(t)
			delta := s.publish(s.list(certtest.CRLOptions{Number: 8, Extensions: []pkix.Extension{{
				Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, base}, // RFC 5280 §5.2.4
			}}}))
			s.Vars["VERNEGATE_TLS_CRL"] = s.Write("ca.crl", s.Root.CRL(certtest.CRLOptions{Number: 5, Extensions: []pkix.Extension{freshest(delta)}}))
			s.start()
			s.settle()
			s.wants("at first", true, delta)
			s.Write("ca.crl", s.Root.CRL(certtest.CRLOptions{Number: 6}))
			s.settle()
			s.wants("when the list does not name it", true, delta)
			s.Write("ca.crl", s.list(certtest.CRLOptions{Number: 9}))
			s.settle()
			s.wants("when the list has caught up", true)
		})
	}
}

// TestOneCATakesNoRoomFromOthers by naming more URLs than are followed, in its lists and in certificates that it has issued.
func TestOneCATakesNoRoomFromOthers(t *testing.T) {
	t.Parallel()
	s := newPointScene(t)
	host := strings.TrimPrefix(s.publish(nil), "http://")
	host, _, _ = strings.Cut(host, "/")
	many := func(kind string) (urls []string) {
		for i := range 2 * maxDiscovered {
			urls = append(urls, fmt.Sprintf("http://%s/%s/%d", host, kind, i))
		}
		return urls
	}
	mine := func(kind string) string { return "http://" + host + "/" + kind + "/mine" }
	pointing := func(urls ...string) certtest.Option {
		return certtest.Template(func(c *x509.Certificate) { c.CRLDistributionPoints = urls })
	}
	other := certtest.NewCA("other")
	s.Write("ca.crt", certtest.CertsPEM(s.Root.Cert, other.Cert,
		s.Root.Intermediate("greedy", pointing(many("ca")...)).Cert, s.Root.Intermediate("greedy too", pointing(many("ca too")...)).Cert,
		other.Intermediate("modest", pointing(mine("ca"))).Cert))
	lists := []string{
		s.Write("greedy.crl", s.Root.CRL(certtest.CRLOptions{Number: 1, Extensions: []pkix.Extension{freshest(many("delta")...)}})),
		s.Write("modest.crl", other.CRL(certtest.CRLOptions{Number: 1, Extensions: []pkix.Extension{freshest(mine("delta"))}})),
	}
	s.Vars["VERNEGATE_TLS_CRL"] = strings.Join(lists, ",")
	s.start()
	for kind, origin := range map[string]crlfetch.Origin{"ca": crlfetch.CA, "delta": crlfetch.Freshest} {
		var followed []string
		for _, source := range s.lists.status() {
			if source.Origin == origin {
				followed = append(followed, source.URL)
			}
		}
		if len(followed) != maxDiscovered || !slices.Contains(followed, mine(kind)) || !slices.Contains(followed, many(kind)[0]) {
			t.Errorf("of %s, %d are followed without that of the other CA: %v", origin, len(followed), followed)
		}
	}
	if n := strings.Count(s.log.String(), "more distribution points than are followed"); n != 2 {
		t.Errorf("it is logged %d times, want once for each kind:\n%s", n, s.log.String())
	}
}

// A list of a CA that was not in the bundle is refused, and its server is asked less and less often. Once the CA is there, it
// is asked at once.
func TestListsAreFetchedAtOnceWhenTheirCAComes(t *testing.T) {
	t.Parallel()
	s := newPointScene(t)
	list, asked := s.list(certtest.CRLOptions{Number: 7}), make(chan struct{}, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		select {
		case asked <- struct{}{}: // the first time
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			_, _ = w.Write(list)
		}
	}))
	t.Cleanup(server.Close)
	delete(s.Vars, "VERNEGATE_CRL_FROM_CDP")
	s.Vars["VERNEGATE_TLS_CRL"], s.Vars["VERNEGATE_CRL_REFRESH"] = server.URL, "1h"
	other := certtest.NewCA("other")
	s.Write("ca.crt", other.PEM())
	s.start()
	defer s.lists.start(t.Context())()
	s.await("another time to ask", func(list crlfetch.Status) bool { return list.Next.After(time.Now().Add(30 * time.Minute)) })
	s.Write("ca.crt", certtest.CertsPEM(other.Cert, s.Root.Cert))
	_ = s.store.Reload(t.Context()) // the list is missing
	s.await("the list", func(list crlfetch.Status) bool { return list.Held })
	_ = s.store.Reload(t.Context())
	s.wants("when its CA has come", true, server.URL)
}
