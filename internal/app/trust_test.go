// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"errors"
	"os"
	"syscall"
	"testing"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestReloadOnHangupReadsTheFilesNow(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	store, err := truststore.Open(t.Context(), trustConfig(mustLoad(t, w.Environ()...), nil))
	if err != nil {
		t.Fatal(err)
	}
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, certtest.NewCA("second").Cert))
	hangup := make(chan os.Signal) // taking the second one ends the first
	go func() { _ = reloadOnHangup(t.Context(), hangup, store.Reload) }()
	hangup <- syscall.SIGHUP
	hangup <- syscall.SIGHUP
	if got := store.Current().Sequence(); got != 2 {
		t.Errorf("generation %d is in use, want 2", got)
	}
}

// An operator can have the files read until the admin server is closed, which is after the last session.
func TestSwapAfterTheEndIsNotFollowedUp(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	var revoker revoker // without a server: to follow up would panic
	cfg := trustConfig(mustLoad(t, w.Environ()...), nil)
	cfg.OnSwap = revoker.swapped
	store, err := truststore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	revoker.wait()
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, certtest.NewCA("second").Cert))
	if err := store.Reload(t.Context()); err != nil || store.Current().Sequence() != 2 {
		t.Errorf("generation %d is in use, want 2; %v", store.Current().Sequence(), err)
	}
	revoker.wait()
}

func TestTrustSpeaksTheProxysLanguage(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	revoked, stranger := w.Root.Issue("revoked"), certtest.NewCA("other").Issue("stranger")
	w.Write("ca.crl", w.Root.CRL(certtest.CRLOptions{Revoked: []*x509.Certificate{revoked.Leaf}}))
	second := certtest.NewCA("second")
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, second.Cert))
	w.Vars["VERNEGATE_CRL_MISSING"] = "deny"
	store, err := truststore.Open(t.Context(), trustConfig(mustLoad(t, w.Environ()...), nil))
	if err != nil {
		t.Fatal(err)
	}
	believed := trust{Generation: store.Current()}
	for name, row := range map[string]struct {
		cert *certtest.Cert
		want error
	}{
		"good":        {w.Root.Issue("good"), nil},
		"revoked":     {revoked, pki.ErrRevoked},
		"without CRL": {second.Issue("x"), pki.ErrRevocationUnknown},
	} {
		if _, err := believed.Verify(row.cert.Chain(), nil); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
	_, err = believed.Verify(stranger.Chain(), nil)
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); !is {
		t.Error("a stranger's certificate is no x509.UnknownAuthorityError")
	}
	if (trust{Generation: store.Current()}) != believed {
		t.Error("one generation makes two trusts")
	}
}
