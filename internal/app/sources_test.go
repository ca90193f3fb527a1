// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/proxy"
)

// Whichever the sources are, the error says in one line what each of them has against the certificate.
func TestSourcesSayWhyThereIsNoOwner(t *testing.T) {
	t.Parallel()
	const (
		byACL     = "no owner by certificate-acl: it answers 404"
		byFile    = "no owner by file: it has no line for the certificate"
		bySubject = "no owner by subject: the certificate has 0 values of o, expected exactly 1"
	)
	template := "VERNEGATE_IDENTITY_TEMPLATE={o}:{cn}"
	w := apptest.NewWorld(t)
	path := w.Write("owners", []byte("# none\n"))
	file := "VERNEGATE_IDENTITY_FILE=" + path
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"certificate-acl": {nil, byACL},
		"with Kafka":      {[]string{"VERNEGATE_KAFKA_BROKERS=kafka:9092"}, byACL + ", or an event from Kafka has taken its owner"},
		"file":            {[]string{"VERNEGATE_IDENTITY=file", file}, byFile},
		"subject":         {[]string{"VERNEGATE_IDENTITY=subject", template}, bySubject},
		"all": {[]string{"VERNEGATE_IDENTITY=file,subject,certificate-acl", file, template},
			byFile + "; " + bySubject + "; " + byACL},
	} {
		cfg := mustLoad(t, test.environ...)
		owners, err := ownerfile.Open(t.Context(), ownerfile.Config{Path: path, Check: proxy.CheckOwner})
		if err != nil {
			t.Fatal(err)
		}
		unknown := func(context.Context, proxy.Peer) (string, bool, error) { return "", false, nil }
		all, err := newSources(cfg, unknown, owners)
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		find := all.ownerFunc(func(config.Source, string) { asked++ })
		_, ok, err := find(t.Context(), proxy.Peer{Chain: []*x509.Certificate{w.Root.Issue("lamp").Leaf}})
		if ok || !errors.Is(err, proxy.ErrNoOwner) || err.Error() != test.want || asked != len(all) {
			t.Errorf("%s: got %v, %v after %d sources, want %q", name, ok, err, asked, test.want)
		}
	}
}
