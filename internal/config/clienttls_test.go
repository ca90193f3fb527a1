// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"testing"
)

func TestBackendTLS(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "VERNEGATE_BACKEND_TLS=on", "VERNEGATE_BACKEND_TLS_CA=/a.crt, $DIR/b.crt", "DIR=/tmp",
		"VERNEGATE_BACKEND_TLS_CERT=$DIR/tls.crt", "VERNEGATE_BACKEND_TLS_KEY=/tmp/tls.key", "VERNEGATE_BACKEND_TLS_SERVER_NAME=vernemq.example.org")
	if want := []string{"/a.crt", "/tmp/b.crt", "/tmp/tls.crt", "/tmp/tls.key"}; !slices.Equal(c.BackendTLSFiles().Paths(), want) || !bool(c.BackendTLS) {
		t.Errorf("got %v and %q, want %q", c.BackendTLS, c.BackendTLSFiles().Paths(), want)
	}
	if c := mustLoad(t); bool(c.BackendTLS) || len(c.BackendTLSFiles().Paths()) > 0 || len(c.ACLFiles().Paths()) > 0 {
		t.Error("something is on by default")
	}
	for _, name := range []string{"vernemq", "vernemq-0.vernemq.iot.svc", "10.0.0.1", "fd00::1", "a_b"} {
		mustLoad(t, "VERNEGATE_BACKEND_TLS=on", "VERNEGATE_BACKEND_TLS_SERVER_NAME="+name)
	}
	wantMistake(t, "VERNEGATE_BACKEND_TLS=yes", "expected off or on")
	for _, name := range []string{"vernemq:8883", "*.vernemq", "https://vernemq", "-a", "a..b"} {
		got := mistakesOf(t, "VERNEGATE_BACKEND_TLS=on", "VERNEGATE_BACKEND_TLS_SERVER_NAME="+name)
		if len(got) != 1 {
			t.Errorf("%q: got %q, want one mistake", name, got)
		}
	}
}

// What would be ignored, or makes no pair, is said at the start and not when the first client comes.
func TestClientTLSThatMakesNoSense(t *testing.T) {
	t.Parallel()
	const https = "CERTIFICATE_ACL_URL=https://acl.example.org/"
	for want, environ := range map[string][]string{
		`VERNEGATE_BACKEND_TLS_CA="/ca.crt": has no effect without VERNEGATE_BACKEND_TLS=on`:                                              {"VERNEGATE_BACKEND_TLS_CA=/ca.crt"},
		`VERNEGATE_BACKEND_TLS_SERVER_NAME="": expected the name in the broker's certificate, as a Unix socket has none`:                  {"VERNEGATE_BACKEND_TLS=on", "VERNEGATE_BACKENDS=unix:/run/vernemq.sock"},
		`VERNEGATE_BACKEND_TLS_SERVER_NAME="a": has no effect without VERNEGATE_BACKEND_TLS=on`:                                           {"VERNEGATE_BACKEND_TLS_SERVER_NAME=a"},
		`VERNEGATE_BACKEND_TLS_CERT="/tls.crt": expected its key in VERNEGATE_BACKEND_TLS_KEY, too`:                                       {"VERNEGATE_BACKEND_TLS=on", "VERNEGATE_BACKEND_TLS_CERT=/tls.crt"},
		`VERNEGATE_ACL_KEY="/tls.key": expected its certificate in VERNEGATE_ACL_CERT, too`:                                               {https, "VERNEGATE_ACL_KEY=/tls.key"},
		`VERNEGATE_ACL_CA="/ca.crt": has no effect as CERTIFICATE_ACL_URL is not https`:                                                   {"VERNEGATE_ACL_CA=/ca.crt"},
		`VERNEGATE_CRL_CA="/ca.crt": has no effect as no CRL is fetched: VERNEGATE_TLS_CRL has no URL, and VERNEGATE_CRL_FROM_CDP is off`: {"VERNEGATE_CRL_CA=/ca.crt"},
		`VERNEGATE_ACL_TOKEN_FILE="/token": expected only one of it and a password in CERTIFICATE_ACL_URL`:                                {"CERTIFICATE_ACL_URL=https://me:hunter2@acl.example.org/", "VERNEGATE_ACL_TOKEN_FILE=/token"},
	} {
		if got := mistakesOf(t, environ...); len(got) != 1 || got[0] != want {
			t.Errorf("%q:\ngot  %q\nwant %q", environ, got, want)
		}
	}
	mustLoad(t, "VERNEGATE_ACL_TOKEN_FILE=/token") // clear text, which check warns of
	mustLoad(t, "VERNEGATE_CRL_CA=/ca.crt", "VERNEGATE_TLS_CRL=/ca.crl,https://ca.example.org/ca.crl")
	mustLoad(t, "VERNEGATE_CRL_CA=/ca.crt", "VERNEGATE_CRL_FROM_CDP=leaf", "VERNEGATE_CRL_HOSTS=ca.example.org")
}
