// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestCertificatesAreMadeOnceAndHaveOwners(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := run([]string{"certs", dir, "broker"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"broker", "device", "v2k-bridge", "k2v-bridge"} {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		got := ask(t, dir, fingerprint(pair.Leaf))
		want := map[string]string{"device": "\"admin:lamp1\"\n", "v2k-bridge": "\"v2k-bridge\"\n", "k2v-bridge": "\"k2v-bridge\"\n"}[name]
		if want == "" && (got.Code != http.StatusNotFound || !strings.HasPrefix(got.Body.String(), `{"error":"`)) || want != "" && got.Body.String() != want {
			t.Errorf("about %s it answers %d, %q", name, got.Code, got.Body)
		}
		if id := fingerprint(pair.Leaf); !regexp.MustCompile(`^([0-9A-F]{2}:){31}[0-9A-F]{2}$`).MatchString(id) {
			t.Errorf("the fingerprint is %s", id)
		}
	}
	before, err := os.ReadFile(filepath.Join(dir, "device.crt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"certs", dir, "broker"}); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "device.crt")); err != nil || string(after) != string(before) {
		t.Errorf("a second start makes other certificates (%v)", err)
	}
}

func TestWithoutOwnersThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	if got := ask(t, t.TempDir(), "00"); got.Code != http.StatusInternalServerError {
		t.Errorf("it answers %d", got.Code)
	}
}

// ask asks about a fingerprint.
func ask(t *testing.T, dir, fingerprint string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	answer(w, dir, fingerprint)
	return w
}

func TestWrongArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"certs"}, {"serve", ":0"}, {"dance", "x", "y"}} {
		if run(args) == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
