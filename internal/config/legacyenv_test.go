// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"encoding/base64"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// conf is a variable that holds the lines of a vernemq.conf.
func conf(lines ...string) string {
	return "VERNEMQ_CONF=" + base64.StdEncoding.EncodeToString([]byte(strings.Join(lines, "\n")))
}

func TestOldEnvironmentIsUnderstood(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "HOSTNAME=vernemq-0", "MY_POD_IP=10.0.0.7", "PLUGIN_DISC_LIFETIME_SESSION=1500000", conf(
		"listener.ssl.default = $MY_POD_IP:8883",
		"listener.ssl.default.cafile = /vernemq/cert/cabundle.crt",
		"listener.ssl.default.certfile = /vernemq/cert/${HOSTNAME}-x.crt",
		"listener.ssl.default.keyfile = /vernemq/cert/$HOSTNAME-x.key",
		"listener.ssl.default.crlfile = /vernemq/cert/crl.pem",
		"listener.ssl.internal = 0.0.0.0:9883",
		"listener.ssl.tls_version = tlsv1.2",
		"listener.ssl.ciphers = ECDHE-ECDSA-AES128-GCM-SHA256:DHE-DSS-AES256-SHA",
		"ssl_trusted_cert_refresh_interval = 0",
		"max_inflight_messages = 20",
	))
	if c.Listen != "10.0.0.7:8883" || c.ServiceListen != "0.0.0.0:9883" {
		t.Errorf("listening on %q and %q", c.Listen, c.ServiceListen)
	}
	files := slices.Concat(c.TLSCert, c.TLSKey, c.TLSCA, fileList(c.TLSCRL))
	want := []string{"/vernemq/cert/vernemq-0-x.crt", "/vernemq/cert/vernemq-0-x.key", "/vernemq/cert/cabundle.crt", "/vernemq/cert/crl.pem"}
	if !slices.Equal(files, want) {
		t.Errorf("files are %q, want %q", files, want)
	}
	if !c.CRLNamed {
		t.Error("a CRL that was named for the broker need not exist")
	}
	if want := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}; !slices.Equal(c.TLSCiphers, want) {
		t.Errorf("cipher suites %v, want %v", c.TLSCiphers, want)
	}
	if c.TrustRefreshInterval != 0 || c.MaxLifetime() != 25*time.Minute {
		t.Errorf("reading files every %v, lifetime %v", time.Duration(c.TrustRefreshInterval), c.MaxLifetime())
	}
}

// TestPrecedence takes one setting away after the other, the first in force first.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	environ := []string{
		"VERNEGATE_LISTEN=127.0.0.1:1",
		"DOCKER_VERNEMQ_LISTENER__SSL__DEFAULT=127.0.0.1:2",
		conf("listener.ssl.default = 127.0.0.1:3"),
	}
	for _, want := range []listenAddress{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", ":8883"} {
		if got := mustLoad(t, environ...).Listen; got != want {
			t.Errorf("with %q listening on %q, want %q", environ, got, want)
		}
		environ = environ[min(1, len(environ)):]
	}
	if c := mustLoad(t, "VERNEGATE_LISTEN=", conf("listener.ssl.default = 127.0.0.1:3")); c.Listen != "127.0.0.1:3" {
		t.Errorf("an empty variable goes before VERNEMQ_CONF: %q", c.Listen)
	}
}

func TestMistakesOfTheOldEnvironmentAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	lines := mistakesOf(t, "VERNEGATE_ACL_TTL=soon", "DOCKER_VERNEMQ_CRL_REFRESH_INTERVAL=often", conf(
		"nonsense",
		"listener.ssl.default = nowhere",
		"listener.ssl.default.cafile = /a/$NOBODY.crt",
		"listener.ssl.internal = 0.0.0.0:9883",
		"listener.ssl.internal.cafile = /b",
	))
	for _, want := range []string{
		"VERNEMQ_CONF line 1: expected key = value",
		`VERNEGATE_LISTEN="nowhere", from listener.ssl.default (VERNEMQ_CONF line 2): expected an address`,
		`listener.ssl.default.cafile (VERNEMQ_CONF line 3): "/a/$NOBODY.crt" refers to NOBODY, which is not set`,
		`listener.ssl.internal.cafile (VERNEMQ_CONF line 5): "/b" differs from "/a/$NOBODY.crt" of listener.ssl.default.cafile (VERNEMQ_CONF line 3)`,
		`crl_refresh_interval (DOCKER_VERNEMQ_CRL_REFRESH_INTERVAL): "often"`,
		`VERNEGATE_ACL_TTL="soon": expected a duration`,
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("nothing begins with %q in\n%s", want, strings.Join(lines, "\n"))
		}
	}
	if len(lines) != 6 {
		t.Errorf("%d mistakes, want 6:\n%s", len(lines), strings.Join(lines, "\n"))
	}
	if lines := mistakesOf(t, "VERNEMQ_CONF=***"); len(lines) != 1 || lines[0] != "VERNEMQ_CONF: expected base64 of a vernemq.conf" {
		t.Errorf("broken base64 is told as %q", lines)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	if got := shown("VERNEGATE_ADMIN_TOKEN", "hunter2"); strings.Contains(got, "hunter2") {
		t.Errorf("a token is shown as %s", got)
	}
	if got := shown("CERTIFICATE_ACL_URL", "http://me:hunter2@acl/"); strings.Contains(got, "hunter2") {
		t.Errorf("a URL is shown as %s", got)
	}
}

// TestWhatOldSettingsMeanIsLogged has, for each setting, what serve logs of it.
func TestWhatOldSettingsMeanIsLogged(t *testing.T) {
	t.Parallel()
	const misspelt = " is a setting of no VerneMQ, neither of 1.10.0 nor of 2.2.0: is it misspelt?"
	for setting, want := range map[string]string{
		"accept_eula = yes":         `msg="settings without a counterpart: they are the broker's" settings=[accept_eula]`,
		"max_inflight_message = 20": `finding="max_inflight_message (VERNEMQ_CONF line 1)` + misspelt + `"`,
		"listener.ssl.a.cafil = /a": `finding="listener.ssl.a.cafil (VERNEMQ_CONF line 1)` + misspelt + `"`,
	} {
		var got strings.Builder
		mustLoad(t, conf(setting)).LogLegacy(slog.New(slog.NewTextHandler(&got, nil)))
		if lines := strings.TrimSpace(got.String()); strings.Contains(lines, "\n") || !strings.HasSuffix(lines, want) {
			t.Errorf("%s is logged as\n%s, want the end %s", setting, lines, want)
		}
	}
}
