// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore_test

import (
	"errors"
	"testing"

	"github.com/vernegate/vernegate/truststore"
)

func TestReloadBringsRevocation(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	store := open(t, v.config())
	device := v.root.Issue("acme:lamp")
	if err := verify(store, device); err != nil {
		t.Fatalf("before: %v", err)
	}
	v.write("ca.crl", revoking(v.root, 2, device.Leaf))
	if err := store.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := verify(store, device); !errors.Is(err, truststore.ErrRevoked) {
		t.Errorf("after: got %v, want %v", err, truststore.ErrRevoked)
	}
	if got, want := store.Current().Sequence(), uint64(2); got != want {
		t.Errorf("sequence %d, want %d", got, want)
	}
}
