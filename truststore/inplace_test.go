// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/ecdsa"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// rewrite writes a file in place and pauses wherever a reader sees something
// else than before: when it is empty, in the middle of every PEM block, behind
// every block, and at the end.
func (v *volume) rewrite(name string, data []byte, pause func(where string)) {
	v.t.Helper()
	f, err := os.OpenFile(v.path(name), os.O_WRONLY|os.O_TRUNC|os.O_CREATE, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	pause(name + " empty")
	for _, piece := range pieces(data) {
		if _, err := f.Write(piece); err != nil {
			v.t.Fatal(err)
		}
		pause(name + " up to " + string(piece[max(0, len(piece)-30):]))
	}
}

// pieces cuts PEM blocks in half and from each other. DER is cut in half.
func pieces(data []byte) [][]byte {
	var list [][]byte
	for len(data) > 0 {
		end := len(data)
		if i := bytes.Index(data, []byte("-----END")); i >= 0 {
			end = i + bytes.IndexByte(data[i:], '\n') + 1
		}
		list = append(list, data[:end/2], data[end/2:end])
		data = data[end:]
	}
	return list
}

// rotation is everything of a platform before and after it was renewed by a
// sidecar, with a device of each kind that is good throughout.
type rotation struct {
	kept, added   *certtest.CA
	server        *certtest.Cert
	good          []*certtest.Cert
	revoked, late *certtest.Cert
}

// newRotation prepares the volume with two CAs and their CRLs, and a server
// certificate behind an intermediate.
func newRotation(v *volume) *rotation {
	kept, added := certtest.NewCA("kept"), certtest.NewCA("added")
	servers := v.root.Intermediate("servers")
	v.server = servers.Issue("broker", certtest.Server("localhost"))
	v.write("tls.crt", v.server.CertPEM())
	v.write("tls.key", v.server.KeyPEM())
	v.write("ca.crt", v.root.PEM(), kept.PEM())
	v.write("ca.crl", revoking(v.root, 1), revoking(kept, 1))
	return &rotation{
		kept: kept, added: added,
		server:  servers.Issue("renewed", certtest.Server("localhost")),
		good:    []*certtest.Cert{v.root.Issue("acme:1"), kept.Issue("acme:2"), kept.Intermediate("sub").Issue("acme:3")},
		revoked: kept.Issue("acme:revoked"),
		late:    added.Issue("acme:late"),
	}
}

// write does what cert-sidecar does, in its order.
func (r *rotation) write(v *volume, pause func(where string)) {
	v.rewrite("tls.key", r.server.KeyPEM(), pause)
	v.rewrite("tls.crt", r.server.CertPEM(), pause)
	v.rewrite("ca.crt", slices.Concat(v.root.PEM(), r.kept.PEM(), r.added.PEM()), pause)
	v.rewrite("ca.crl", slices.Concat(revoking(v.root, 2), revoking(r.kept, 2, r.revoked.Leaf), revoking(r.added, 1)), pause)
}

// wantGood fails the test unless all good devices are, and the server's key is
// that of its certificate.
func (r *rotation) wantGood(t testing.TB, store *truststore.Store, where string) {
	t.Helper()
	for _, device := range r.good {
		if err := verify(store, device); err != nil {
			t.Errorf("%s: %v is refused: %v", where, device.Leaf.Subject, err)
		}
	}
	pair := store.Current().ServerCertificates()[0]
	if public := pair.PrivateKey.(*ecdsa.PrivateKey).Public(); !pair.Leaf.PublicKey.(*ecdsa.PublicKey).Equal(public) {
		t.Errorf("%s: the key is not that of the server certificate", where)
	}
	if len(pair.Certificate) != 2 {
		t.Errorf("%s: the server has %d certificates, want 2", where, len(pair.Certificate))
	}
}

// wantRenewed fails the test unless the last set is in use.
func (r *rotation) wantRenewed(t testing.TB, store *truststore.Store) {
	t.Helper()
	if err := verify(store, r.revoked); err == nil {
		t.Error("the revoked device is accepted")
	}
	if err := verify(store, r.late); err != nil {
		t.Errorf("the device of the new CA is refused: %v", err)
	}
	if got := store.Current().ServerCertificates()[0].Leaf; !got.Equal(r.server.Leaf) {
		t.Errorf("server certificate %v, want %v", got.Subject, r.server.Leaf.Subject)
	}
}

func TestWritingInPlaceNeverRefusesAGoodDevice(t *testing.T) {
	t.Parallel()
	// Shorter than settling takes, and long enough for several looks.
	for _, pause := range []time.Duration{time.Millisecond, truststore.QuietTime, time.Second, 2 * time.Second} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			var r *rotation
			prepare := func(b *bubble, _ *truststore.Config) { r = newRotation(b.volume) }
			inBubble(t, 500*time.Millisecond, prepare, func(b *bubble) {
				r.write(b.volume, func(where string) {
					b.touch(pause)
					r.wantGood(b.t, b.store, where)
				})
				b.touch(2 * time.Second)
				r.wantGood(b.t, b.store, "in the end")
				r.wantRenewed(b.t, b.store)
			})
		})
	}
}

func TestReplacingByRenameNeverRefusesAGoodDevice(t *testing.T) {
	t.Parallel()
	var r *rotation
	prepare := func(b *bubble, _ *truststore.Config) { r = newRotation(b.volume) }
	inBubble(t, 0, prepare, func(b *bubble) {
		next := newStaging(b.volume)
		r.write(next, func(string) {})
		for _, name := range []string{"tls.key", "tls.crt", "ca.crt", "ca.crl"} {
			if err := os.Rename(next.path(name), b.path(name)); err != nil {
				b.t.Fatal(err)
			}
			b.touch(time.Second)
			r.wantGood(b.t, b.store, name)
		}
		r.wantRenewed(b.t, b.store)
	})
}

// newStaging returns a volume with the same CA in another directory.
func newStaging(v *volume) *volume {
	staging := *v
	staging.dir = v.t.TempDir()
	return &staging
}
