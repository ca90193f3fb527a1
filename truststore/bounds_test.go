// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// keptBytes returns how many bytes what f returns takes. The test must not be parallel.
func keptBytes[T any](f func() T) int64 {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	kept := f()
	after := heap()
	runtime.KeepAlive(kept)
	return after - before
}

func TestListsThatDoNotCountTakeLittleMemory(t *testing.T) {
	const n = 1000
	root := certtest.NewCA("root")
	raw, err := asn1.Marshal(pkix.Name{Organization: []string{strings.Repeat("a", 15<<10)}}.ToRDNSequence())
	if err != nil {
		t.Fatal(err)
	}
	lists := bytes.Repeat(certtest.PEMEncodeCRL(root.CRL(certtest.CRLOptions{RawIssuer: raw})), n)
	v := newVolume(t)
	v.write("others.crl", lists)
	config := v.config()
	config.CRLs = append(config.CRLs, v.path("others.crl"))
	got := keptBytes(func() *truststore.Store { return open(t, config) })
	if most := int64(len(lists) / 2); got > most {
		t.Errorf("%d bytes are kept of a file of %d, want at most %d", got, len(lists), most)
	}
}

func TestAKeyThatAListNamesIsShownInPart(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	store := openWith(t, []*x509.Certificate{root.Cert}, [][]byte{root.CRL(certtest.CRLOptions{Number: 1})})
	keyID, err := asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{bytes.Repeat([]byte{0x41}, 100_000)})
	if err != nil {
		t.Fatal(err)
	}
	forged := root.CRL(certtest.CRLOptions{Number: 2, WrongSignature: true, Extensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Value: keyID}}})
	_, err = store.TryFetched(t.Context(), truststore.Fetched{Name: listURL, Data: forged, SHA256: sha256.Sum256(forged)}, time.Now())
	if err == nil || !strings.Contains(err.Error(), "the list names key 4141") {
		t.Fatalf("got %.300v, want an error about the key", err)
	}
	if got, most := len(err.Error()), 600; got > most {
		t.Errorf("the error has %d bytes, want at most %d", got, most)
	}
}
