// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"crypto/tls"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/truststore"
)

// mustLoad parses an environment that is right.
func mustLoad(t *testing.T, environ ...string) Config {
	t.Helper()
	c, err := Load(environ)
	if err != nil {
		t.Fatalf("Load(%q): %v", environ, err)
	}
	return c
}

// mistakesOf returns the lines about an environment that is wrong.
func mistakesOf(t *testing.T, environ ...string) []string {
	t.Helper()
	_, err := Load(environ)
	if err == nil {
		t.Fatalf("Load(%q) accepted it", environ)
	}
	return strings.Split(err.Error(), "\n")
}

// wantMistake fails unless variable, NAME=value, is the one mistake of an
// environment, and said to be what want says.
func wantMistake(t *testing.T, variable, want string) {
	t.Helper()
	name, value, _ := strings.Cut(variable, "=")
	want = name + "=" + strconv.Quote(value) + ": " + want
	if got := mistakesOf(t, variable); len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "HOSTNAME=vernemq-0")
	if c.Listen != ":8883" || c.ServiceListen != "" || c.Admin != "127.0.0.1:8885" {
		t.Errorf("listening on %q, %q, %q", c.Listen, c.ServiceListen, c.Admin)
	}
	if want := []string{"/vernemq/cert/vernemq-0.crt"}; !slices.Equal(c.TLSCert, want) {
		t.Errorf("certificates %q, want %q", c.TLSCert, want)
	}
	if want := []string{"/vernemq/cert/vernemq-0.key"}; !slices.Equal(c.TLSKey, want) {
		t.Errorf("keys %q, want %q", c.TLSKey, want)
	}
	if c.CRLNamed {
		t.Error("the default CRL counts as named")
	}
	if c.TLSMinVersion != tls.VersionTLS12 || c.TLSCiphers != nil || c.TLSCurves != nil {
		t.Errorf("TLS policy %v %v %v", c.TLSMinVersion, c.TLSCiphers, c.TLSCurves)
	}
	if got := time.Duration(c.ACLRequestTimeout); got != time.Second {
		t.Errorf("waiting %v for certificate-acl", got)
	}
	if c.MaxConnectSize != 256<<10 || slog.Level(c.LogLevel) != slog.LevelInfo {
		t.Errorf("CONNECT of %v, level %v", c.MaxConnectSize, slog.Level(c.LogLevel))
	}
}

func TestConfigWithoutHostnameAsksTheSystem(t *testing.T) {
	t.Parallel()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mustLoad(t).TLSCert[0], "/vernemq/cert/"+name+".crt"; got != want {
		t.Errorf("certificate %q, want %q", got, want)
	}
}

func TestConfigTakesVariablesOverDefaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t,
		"HOSTNAME=h",
		"VERNEGATE_SERVICE_LISTEN=:9883",
		"VERNEGATE_TLS_CERT=/a/$HOSTNAME.crt, /b.crt",
		"VERNEGATE_TLS_KEY=/a.key,/b.key",
		"VERNEGATE_TLS_CRL=/a.crl",
		"VERNEGATE_TLS_CURVES=X25519MLKEM768:prime256v1",
		"VERNEGATE_TRUST_REFRESH_INTERVAL=0",
		"VERNEGATE_CRL_MISSING=deny",
		"CERTIFICATE_ACL_REQ_TIMEOUT_MS=250",
		"VERNEGATE_BACKENDS=[::1]:1883, vernemq:1884, unix:/run/vernemq.sock",
		"VERNEGATE_BALANCE=client-id",
		"VERNEGATE_BACKEND_HEALTH_URL=http://{host}:8888/health/listeners",
		"VERNEGATE_LOG_LEVEL=warn",
	)
	if c.ServiceListen != ":9883" {
		t.Errorf("services on %q", c.ServiceListen)
	}
	if want := []string{"/a/h.crt", "/b.crt"}; !slices.Equal(c.TLSCert, want) {
		t.Errorf("certificates %q, want %q", c.TLSCert, want)
	}
	if !c.CRLNamed {
		t.Error("a CRL that was named does not count as named")
	}
	if want := []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}; !slices.Equal(c.TLSCurves, want) {
		t.Errorf("curves %v, want %v", c.TLSCurves, want)
	}
	if c.TrustRefreshInterval != 0 || c.CRLMissing != truststore.Deny || time.Duration(c.ACLRequestTimeout) != 250*time.Millisecond {
		t.Errorf("got %v, %v, %v", c.TrustRefreshInterval, c.CRLMissing, time.Duration(c.ACLRequestTimeout))
	}
	if want := []string{"[::1]:1883", "vernemq:1884", "unix:/run/vernemq.sock"}; !slices.Equal(c.Backends, want) {
		t.Errorf("backends %q, want %q", c.Backends, want)
	}
	if c.Balance != backend.ByClientID || c.BackendHealthURL != "http://{host}:8888/health/listeners" {
		t.Errorf("balance %v, health URL %q", c.Balance, c.BackendHealthURL)
	}
	if slog.Level(c.LogLevel) != slog.LevelWarn {
		t.Errorf("level %v", slog.Level(c.LogLevel))
	}
}

func TestConfigEmptyVariableCountsAsUnset(t *testing.T) {
	t.Parallel()
	var empty []string
	for _, name := range Variables() {
		empty = append(empty, name+"=")
	}
	c := mustLoad(t, append(empty, "HOSTNAME=h")...)
	want := mustLoad(t, "HOSTNAME=h")
	if c.Listen != want.Listen || c.Backends[0] != want.Backends[0] || c.ServiceListen != "" || c.CRLNamed || c.TLSCiphers != nil {
		t.Errorf("got %+v, want %+v", c, want)
	}
}

// docker run --env-file and kubectl leave the quotes on that docker compose needs.
func TestQuotesAroundAReferenceAreTakenOff(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"'/vernemq/cert/$HOSTNAME.crt'": "/vernemq/cert/h.crt",
		"/vernemq/cert/$HOSTNAME.crt":   "/vernemq/cert/h.crt",
		"'/no/reference.crt'":           "'/no/reference.crt'",
		"'/a/$HOSTNAME.crt":             "'/a/h.crt",
	} {
		if got := mustLoad(t, "HOSTNAME=h", "VERNEGATE_TLS_CERT="+value).TLSCert; len(got) != 1 || got[0] != want {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

// What is wrong with a value is said whole, and what to do about it.
func TestMistakesInValues(t *testing.T) {
	t.Parallel()
	for assignment, want := range map[string]string{
		"VERNEGATE_SERVER_REFERENCE=a:0 gate3 mqtts://b": `"a:0", "mqtts://b" are no servers such as gate2.example.org:8883; several are separated by a space`,
		"CERTIFICATE_ACL_REQ_TIMEOUT_MS=0":               "expected milliseconds, from 1 to 3600000; 0 was no limit in the patched image, and vernegate always has one: leave the variable out for the default",
		"CERTIFICATE_ACL_REQ_TIMEOUT_MS=-1":              "expected milliseconds, from 1 to 3600000",
	} {
		wantMistake(t, assignment, want)
	}
}

func TestConfigNamesEveryMistakeAtOnce(t *testing.T) {
	t.Parallel()
	got := mistakesOf(t,
		"HOSTNAME=h",
		"VERNEGATE_LISTEN=8883",
		"VERNEGATE_TLS_CERT=/a.crt,/b.crt",
		"VERNEGATE_TLS_CA=/a.crt,,/b.crt",
		"VERNEGATE_TLS_MIN_VERSION=1.1",
		"VERNEGATE_TLS_CIPHERS=TLS_AES_128_GCM_SHA256,HIGH",
		"VERNEGATE_CRL_EXPIRED=maybe",
		"CERTIFICATE_ACL_URL=ftp://user:hunter2@acl/",
		"CERTIFICATE_ACL_REQ_TIMEOUT_MS=1s",
		"VERNEGATE_ACL_CACHE_SIZE=0",
		"VERNEGATE_ACL_TTL=-1s",
		"VERNEGATE_BACKENDS=vernemq,:1883,unix:vernemq.sock",
		"VERNEGATE_BALANCE=round-robin",
		"VERNEGATE_BACKEND_HEALTH_URL=http://me:hunter2@vernemq:8888/health",
		"VERNEGATE_DIAL_TIMEOUT=0",
		"VERNEGATE_MAX_CONNECT_SIZE=1GiB",
		"VERNEGATE_MAX_CONNECTIONS=-1",
		"VERNEGATE_HANDSHAKE_RATE=0.5",
		"VERNEGATE_ADMIN=localhost:http",
		"VERNEGATE_LOG_LEVEL=loud",
		"VERNEGATE_LOG_FORMAT=xml",
		"VERNEGATE_BACKEND=vernemq:1883",
		"VERNEGATE_TICKET_KEYS=/a,/$NOSUCH/b,${NOR_THIS}",
		"VERNEGATE_SERVER_REFERENCE=gate2.example.org:8883 mqtts://gate3",
	)
	want := []string{
		`VERNEGATE_TICKET_KEYS="/a,/$NOSUCH/b,${NOR_THIS}": the variable NOSUCH in it is not set`,
		`VERNEGATE_LISTEN="8883": expected an address to listen on such as :8883 or 192.0.2.1:8883`,
		`VERNEGATE_TLS_CA="/a.crt,,/b.crt": a list element is blank: expected files separated by commas`,
		`VERNEGATE_TLS_MIN_VERSION="1.1": expected 1.2 or 1.3`,
		`VERNEGATE_TLS_CIPHERS="TLS_AES_128_GCM_SHA256,HIGH": "TLS_AES_128_GCM_SHA256" belongs to TLS 1.3, whose cipher suites cannot be chosen; "HIGH" is no cipher suite that Go has, such as ECDHE-ECDSA-AES128-GCM-SHA256`,
		`VERNEGATE_CRL_EXPIRED="maybe": "maybe" is neither allow nor deny`,
		`CERTIFICATE_ACL_URL="ftp://redacted@acl/": expected an http or https URL with a host, to which the fingerprint is appended`,
		`CERTIFICATE_ACL_REQ_TIMEOUT_MS="1s": expected milliseconds, from 1 to 3600000`,
		`VERNEGATE_ACL_CACHE_SIZE="0": expected a whole number from 1 to 100000000`,
		`VERNEGATE_ACL_TTL="-1s": expected a duration of 0 or more such as 90s, 5m or 24h`,
		`VERNEGATE_BACKENDS="vernemq,:1883,unix:vernemq.sock": "vernemq" is not a host:port such as vernemq:1883; ":1883" is not a host:port such as vernemq:1883; "unix:vernemq.sock": the path of a Unix socket begins with a slash, as in unix:/run/vernemq/mqtt.sock`,
		`VERNEGATE_BALANCE="round-robin": "round-robin" is neither least-connections nor client-id`,
		`VERNEGATE_BACKEND_HEALTH_URL="http://redacted@vernemq:8888/health": expected an http or https URL with {host} for the broker's address, such as http://{host}:8888/health/listeners`,
		`VERNEGATE_DIAL_TIMEOUT="0": expected a duration above 0 such as 500ms, 5s or 1m`,
		`VERNEGATE_MAX_CONNECT_SIZE="1GiB": expected a size from 1KiB to 256MiB in bytes, KiB or MiB`,
		`VERNEGATE_SERVER_REFERENCE="gate2.example.org:8883 mqtts://gate3": "mqtts://gate3" is no server such as gate2.example.org:8883; several are separated by a space`,
		`VERNEGATE_MAX_CONNECTIONS="-1": expected a whole number up to 1000000000, 0 for no limit`,
		`VERNEGATE_HANDSHAKE_RATE="0.5": expected a whole number up to 1000000000, 0 for no limit`,
		`VERNEGATE_ADMIN="localhost:http": expected off, or an address to listen on such as :8885 or 127.0.0.1:8885`,
		`VERNEGATE_LOG_LEVEL="loud": expected debug, info, warn or error`,
		`VERNEGATE_LOG_FORMAT="xml": expected auto, json or text`,
		`VERNEGATE_TLS_KEY="/vernemq/cert/h.key": expected as many keys as VERNEGATE_TLS_CERT has certificates, 2, not 1`,
		`VERNEGATE_BACKEND: no such variable, did you mean VERNEGATE_BACKENDS?`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConfigNeverShowsAPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"ftp://me:hunter2@acl/", "http://me:hunter2@acl:x/", "http://me:hun%zz@hunter2@acl/", "http://me:hunter2@"} {
		for _, line := range mistakesOf(t, "CERTIFICATE_ACL_URL="+url) {
			if strings.Contains(line, "hunter2") || strings.Contains(line, "hun%zz") {
				t.Errorf("%q ended up in %q", url, line)
			}
		}
	}
	for _, line := range mistakesOf(t, "VERNEGATE_TLS_CRL=https://crl:hunter2$hunter3@ca/") {
		if want := `VERNEGATE_TLS_CRL="https://redacted@ca/": a variable in it is not set`; line != want {
			t.Errorf("got %q, want %q", line, want)
		}
	}
	for _, line := range mistakesOf(t, "VERNEGATE_ADMIN_TOKEN=hunter2") {
		if strings.Contains(line, "hunter2") {
			t.Errorf("the value of an unknown variable ended up in %q", line)
		}
	}
}

func TestConfigListenersMustDiffer(t *testing.T) {
	t.Parallel()
	got := mistakesOf(t, "VERNEGATE_SERVICE_LISTEN=127.0.0.1:8883", "VERNEGATE_ADMIN=[::]:8883")
	want := []string{
		`VERNEGATE_SERVICE_LISTEN="127.0.0.1:8883": expected another address than VERNEGATE_LISTEN=":8883"`,
		`VERNEGATE_ADMIN="[::]:8883": expected another address than VERNEGATE_LISTEN=":8883"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestListenAddressesOverlap(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b listenAddress
		want bool
	}{
		{":8883", ":8883", true},
		{":8883", ":9883", false},
		{":0", ":0", false},
		{"", "", false},
		{"127.0.0.1:8883", "127.0.0.1:8883", true},
		{"127.0.0.1:8883", "127.0.0.2:8883", false},
		{":8883", "127.0.0.1:8883", true},
		{"[::]:8883", "127.0.0.1:8883", true},
		{"[::]:8883", "0.0.0.0:8883", true},
		{"0.0.0.0:8883", "127.0.0.1:8883", true},
		{"0.0.0.0:8883", "localhost:8883", true},
		{"0.0.0.0:8883", "[::1]:8883", false},
	} {
		if row.a.overlaps(row.b) != row.want || row.b.overlaps(row.a) != row.want {
			t.Errorf("%q and %q: want overlap %v", row.a, row.b, row.want)
		}
	}
}

func TestConfigCiphersWithoutTLS12(t *testing.T) {
	t.Parallel()
	got := mistakesOf(t, "VERNEGATE_TLS_MIN_VERSION=1.3", "VERNEGATE_TLS_CIPHERS=AES128-SHA")
	want := `VERNEGATE_TLS_CIPHERS="AES128-SHA": has no effect with VERNEGATE_TLS_MIN_VERSION=1.3, whose cipher suites cannot be chosen`
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestConfigWrongListIsNoSecondMistake(t *testing.T) {
	t.Parallel()
	got := mistakesOf(t, "VERNEGATE_TLS_CERT=/a.crt,")
	want := `VERNEGATE_TLS_CERT="/a.crt,": a list element is blank: expected files separated by commas`
	if len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHandshakesAreAutomaticOrAsTold(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		text        string
		memory      int64
		descriptors int
		want        int
	}{
		{"auto", 1 << 30, 1 << 20, 2048},
		{"auto", 256 << 20, 1 << 20, 512},
		{"auto", 1 << 30, 1024, 512},
		{"auto", math.MaxInt64, 1 << 20, 1 << 19},
		{"auto", 1 << 10, 1 << 20, 1},
		{"0", 1 << 30, 1024, 0},
		{"7", 1 << 30, 1024, 7},
	} {
		var h Handshakes
		if err := h.UnmarshalText([]byte(row.text)); err != nil {
			t.Errorf("%s: %v", row.text, err)
		}
		if got := h.Number(row.memory, row.descriptors); got != row.want {
			t.Errorf("%s with %d bytes and %d descriptors: got %d, want %d", row.text, row.memory, row.descriptors, got, row.want)
		}
	}
	if err := new(Handshakes).UnmarshalText([]byte("-1")); err == nil {
		t.Error("-1 is taken")
	}
}
