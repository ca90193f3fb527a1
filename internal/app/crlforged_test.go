// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// wireScene is a pointScene whose list is configured, at the URL of a server with ETags. Somebody on the way to it may answer
// in its place.
type wireScene struct {
	*pointScene
	url string

	mu     sync.Mutex
	list   []byte // of the server
	etag   string
	forged []byte // by somebody on the way, with the server's ETag; nil: nobody is there
}

func newWireScene(t *testing.T) *wireScene {
	s := &wireScene{pointScene: newPointScene(t)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.Vars["VERNEGATE_TLS_CRL"] = server.URL
	delete(s.Vars, "VERNEGATE_CRL_FROM_CDP")
	return s
}

func (s *wireScene) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("ETag", s.etag)
	switch {
	case s.forged != nil:
		_, _ = w.Write(s.forged)
	case r.Header.Get("If-None-Match") == s.etag:
		w.WriteHeader(http.StatusNotModified)
	default:
		_, _ = w.Write(s.list)
	}
}

// answers sets what is answered from now on.
func (s *wireScene) answers(etag string, list, forged []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.etag, s.list, s.forged = etag, list, forged
}

// TestAForgedFirstAnswerHidesNoList has the first answer of all, before it can be compared with anything, come from somebody
// on the way, with the ETag of the list that is hidden.
func TestAForgedFirstAnswerHidesNoList(t *testing.T) {
	t.Parallel()
	opts := certtest.CRLOptions{Number: 7, NextUpdate: time.Now().AddDate(20, 0, 0)}
	stranger := certtest.NewCA("stranger").CRL(opts)
	for name, forge := range map[string]func(s *wireScene) []byte{
		"with a wrong signature": func(s *wireScene) []byte { wrong := opts; wrong.WrongSignature = true; return s.Root.CRL(wrong) },
		"of a stranger":          func(*wireScene) []byte { return stranger },
		"of a stranger beside an older one": func(s *wireScene) []byte {
			older := s.Root.CRL(certtest.CRLOptions{Number: 6, ThisUpdate: time.Now().Add(-time.Hour)})
			return slices.Concat(certtest.PEMEncodeCRL(stranger), certtest.PEMEncodeCRL(older))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWireScene(t)
			genuine := s.pointScene.list(certtest.CRLOptions{Number: 7})
			s.answers(`"7"`, genuine, forge(s))
			s.begin()
			s.lists.fetcher.FetchOnce(t.Context())
			s.open()
			s.answers(`"7"`, genuine, nil)
			s.settle()
			s.wants("when nobody is on the way any more", true, s.url)
			s.start()
			s.settle()
			s.wants("after a restart", true, s.url)
		})
	}
}

// TestListsAreFetchedAgainOnceTheyCanBeCompared, and do not wait for the interval.
func TestListsAreFetchedAgainOnceTheyCanBeCompared(t *testing.T) {
	t.Parallel()
	s := newWireScene(t)
	s.Vars["VERNEGATE_CRL_REFRESH"] = "1h"
	s.answers(`"7"`, s.pointScene.list(certtest.CRLOptions{Number: 7}), s.Root.CRL(certtest.CRLOptions{Number: 7, WrongSignature: true}))
	s.begin()
	defer s.lists.start(t.Context())()
	s.await("the forged list", func(list crlfetch.Status) bool { return list.Held })
	s.await("another time to ask", func(list crlfetch.Status) bool { return list.Next.After(time.Now().Add(30 * time.Minute)) })
	forged := s.lists.status()[0].Changed
	s.answers(`"7"`, s.list, nil)
	s.open()
	s.await("the list", func(list crlfetch.Status) bool { return list.Changed.After(forged) })
	_ = s.store.Reload(t.Context())
	s.wants("once the trust files are open", true, s.url)
}

// TestAReplayedAnswerHidesNoList has somebody on the way answer with the list in use and the ETag of the next one, which comes
// when the list was compared with nothing yet, or later.
func TestAReplayedAnswerHidesNoList(t *testing.T) {
	t.Parallel()
	for name, compared := range map[string]bool{"once it was compared": true, "before that": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWireScene(t)
			five, six := s.Root.CRL(certtest.CRLOptions{Number: 5}), s.pointScene.list(certtest.CRLOptions{Number: 6})
			s.answers(`"5"`, five, nil)
			s.begin()
			s.lists.fetcher.FetchOnce(t.Context())
			s.open()
			if compared {
				s.settle()
			}
			s.answers(`"6"`, six, five)
			s.settle()
			s.wants("with the list from before", false, s.url)
			s.answers(`"6"`, six, nil)
			s.settle()
			s.wants("when nobody is on the way any more", true, s.url)
		})
	}
}

// TestAFirstAnswerOfWhichAPartIsRefusedIsAskedForAgain, whether it comes before there is a trust store or after that.
func TestAFirstAnswerOfWhichAPartIsRefusedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"before the trust store": true, "after it": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newWireScene(t)
			other := certtest.NewCA("other")
			s.Write("ca.crt", certtest.CertsPEM(s.Root.Cert, other.Cert))
			good := certtest.PEMEncodeCRL(other.CRL(certtest.CRLOptions{Number: 1}))
			list := func(opts certtest.CRLOptions) []byte {
				return slices.Concat(good, certtest.PEMEncodeCRL(s.pointScene.list(opts)))
			}
			s.answers(`"1"`, list(certtest.CRLOptions{Number: 1, WrongSignature: true}), nil)
			s.begin()
			if early {
				s.lists.fetcher.FetchOnce(t.Context())
			}
			s.open()
			s.settle()
			s.wants("with a list that is not signed by its CA", false, s.url)
			s.answers(`"1"`, list(certtest.CRLOptions{Number: 2}), nil)
			s.settle()
			s.wants("when its server sends a good one with the same ETag", true, s.url)
			if n := strings.Count(s.log.String(), "its signature does not verify"); n != 1 {
				t.Errorf("the log says %d times what is wrong:\n%s", n, s.log.String())
			}
		})
	}
}
