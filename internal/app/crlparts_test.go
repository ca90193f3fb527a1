// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// TestOneListAtAURLHoldsUpNoOther has a URL with the lists of two CAs, one of which goes missing. The start after that takes
// both from the disk.
func TestOneListAtAURLHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	other := certtest.NewCA("other")
	bad, lost := w.Root.Issue("acme:bad"), other.Issue("acme:lost")
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, other.Cert))
	list := func(ca *certtest.CA, number int64, revoked ...*x509.Certificate) []byte {
		return certtest.PEMEncodeCRL(ca.CRL(certtest.CRLOptions{Number: number, Revoked: revoked}))
	}
	var answer atomic.Pointer[[]byte]
	publish := func(lists ...[]byte) {
		all := slices.Concat(lists...)
		answer.Store(&all)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(*answer.Load()) }))
	t.Cleanup(server.Close)
	w.Vars["VERNEGATE_TLS_CRL"], w.Vars["VERNEGATE_STATE_DIR"] = server.URL, t.TempDir()
	begin := func() (*listFetcher, func() *truststore.Store) {
		cfg := mustLoad(t, w.Environ()...)
		l, err := newListFetcher(cfg, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.close)
		return l, func() *truststore.Store {
			files := trustConfig(cfg, nil)
			files.Remotes = l.remotes
			store, err := openTrust(t.Context(), cfg, files)
			if err != nil {
				t.Fatal(err)
			}
			l.open(store)
			return store
		}
	}
	wantRevoked := func(store *truststore.Store) {
		t.Helper()
		for _, cert := range []*certtest.Cert{bad, lost} {
			if _, err := store.Current().Verify(cert.Chain(), nil, time.Now()); !errors.Is(err, pki.ErrRevoked) {
				t.Errorf("%v: %v", cert.Leaf.Subject, err)
			}
		}
	}
	publish(list(w.Root, 5), list(other, 5, lost.Leaf))
	l, open := begin()
	l.fetcher.FetchOnce(t.Context())
	store := open()
	publish(list(w.Root, 6, bad.Leaf))
	l.fetcher.FetchOnce(t.Context())
	if got := l.status()[0].Err; !strings.Contains(got, `it has no newer list of "CN=other"`) {
		t.Errorf("the status says %q", got)
	}
	_ = store.Reload(t.Context())
	wantRevoked(store)
	_, open = begin()
	wantRevoked(open())
}
