// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"

	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// check runs Check, with a backend that accepts every client, and returns what it says.
func check(t *testing.T, w *apptest.World) (ok bool, report string) {
	t.Helper()
	apptest.AnswerConnects(t, w.Backend, false, "\x20\x02\x00\x00")
	return checkAsItIs(t, w, false)
}

// checkAsItIs is check with whatever backend there is.
func checkAsItIs(t *testing.T, w *apptest.World, noMQTT bool) (ok bool, report string) {
	t.Helper()
	var out bytes.Buffer
	ok = Check(t.Context(), noMQTT, w.Environ(), &out)
	return ok, out.String()
}

// wantLine fails unless a line of the report begins with verdict and contains text.
func wantLine(t *testing.T, report, verdict, text string) {
	t.Helper()
	for line := range strings.Lines(report) {
		if strings.HasPrefix(line, verdict+" ") && strings.Contains(line, text) {
			return
		}
	}
	t.Errorf("no line says %q of %q in the report:\n%s", verdict, text, report)
}

func TestCheckFindsNothingWrong(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	ok, report := check(t, w)
	if !ok {
		t.Error("it fails")
	}
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "value ") && !strings.HasPrefix(line, "note ") {
			t.Errorf("complains: %s", line)
		}
	}
	wantLine(t, report, "note", "VERNEGATE_CLIENT_ID=any: an owner may use every client id")
	for _, subject := range []string{
		"configuration", `server certificate "CN=vernegate"`, `CA "CN=root"`, `CRL of "CN=root" with 0 entries`,
		"certificate-acl at " + w.ACL.URL, "backend " + w.Backend.Addr().String(),
	} {
		wantLine(t, report, "ok", subject)
	}
}

func TestCheckNamesWrongVariablesAndFilesAtOnce(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.Vars["VERNEGATE_BACKENDS"] = "nowhere"
	w.Vars["VERNEGATE_TLS_KEY"] = w.Write("other.key", w.Root.Issue("other").KeyPEM())
	w.Vars["VERNEGATE_TLS_CA"] = w.Dir + "/absent.crt"
	ok, report := check(t, w)
	if ok {
		t.Error("it finds nothing wrong")
	}
	wantLine(t, report, "failed", `VERNEGATE_BACKENDS="nowhere"`)
	wantLine(t, report, "failed", "other.key")
	wantLine(t, report, "failed", "absent.crt")
	wantLine(t, report, "skipped", "certificate-acl and the backends")
}

func TestCheckFailsWithoutCertificateACL(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"answered 503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"answered 200 with something that is no answer: ":                                    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"answered 404 with something that is no answer: a 404 that is not certificate-acl's": http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.NewWorld(t)
			acl := httptest.NewServer(handler)
			t.Cleanup(acl.Close)
			w.Vars["CERTIFICATE_ACL_URL"] = acl.URL + "/"
			ok, report := check(t, w)
			if ok {
				t.Error("it finds nothing wrong")
			}
			wantLine(t, report, "failed", "certificate-acl at "+acl.URL+"/ "+name)
		})
	}
}

func TestCheckAsksAboutNoCertificateOfAnybody(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	asked := make(chan string, 1)
	acl := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = w.Write([]byte(`"everybody"`))
	}))
	t.Cleanup(acl.Close)
	w.Vars["CERTIFICATE_ACL_URL"] = acl.URL + "/"
	ok, report := check(t, w)
	if !ok {
		t.Error("it fails")
	}
	if got, want := <-asked, "/00"+strings.Repeat(":00", 31); got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	wantLine(t, report, "warning", "names an owner of a certificate that does not exist")
}

func TestCheckFailsForEachBackendThatIsDown(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	down := apptest.ListenLoopback(t)
	_ = down.Close()
	w.Vars["VERNEGATE_BACKENDS"] = down.Addr().String() + "," + w.Backend.Addr().String()
	ok, report := check(t, w)
	if ok {
		t.Error("it finds nothing wrong")
	}
	wantLine(t, report, "failed", "backend "+down.Addr().String())
	wantLine(t, report, "ok", "backend "+w.Backend.Addr().String())
}

func TestCheckFailsForABackendsNameThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.Vars["VERNEGATE_BACKENDS"] = "vernemq.invalid:1883,localhost:" + portOf(t, w.Backend)
	ok, report := check(t, w)
	if ok {
		t.Error("it finds nothing wrong")
	}
	wantLine(t, report, "failed", "backend vernemq.invalid:1883: lookup")
	wantLine(t, report, "ok", "backend localhost:"+portOf(t, w.Backend)+" at "+w.Backend.Addr().String())
}

func TestCheckIsAClientForAMoment(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		proxyProtocol    string // of vernegate
		demands          bool   // the broker demands a PROXY header
		connack          string // of the broker
		verdict, text    string // of the report
		followed, noMQTT bool
	}{
		"accepted":                   {"off", false, "\x20\x02\x00\x00", "ok", "accepts clients", true, false},
		"refused":                    {"off", false, "\x20\x02\x00\x05", "ok", "refuses a client that nobody knows with code 5", false, false},
		"unavailable":                {"off", false, "\x20\x02\x00\x03", "failed", "it is unavailable", false, false},
		"with the header":            {"v2", true, "\x20\x02\x00\x00", "ok", "accepts clients", true, false},
		"without the header":         {"off", true, "\x20\x02\x00\x00", "failed", "it may expect a PROXY header, see VERNEGATE_BACKEND_PROXY_PROTOCOL", false, false},
		"with a header unasked":      {"v2", false, "\x20\x02\x00\x00", "failed", "it may not expect the PROXY header of VERNEGATE_BACKEND_PROXY_PROTOCOL=v2", false, false},
		"with a header of version 1": {"v1", true, "\x20\x02\x00\x00", "ok", "accepts clients", true, false},
		"told not to speak MQTT":     {"off", true, "", "ok", "is well (MQTT was not spoken)", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.NewWorld(t)
			followed := apptest.AnswerConnects(t, w.Backend, test.demands, test.connack)
			w.Vars["VERNEGATE_BACKEND_PROXY_PROTOCOL"] = test.proxyProtocol
			ok, report := checkAsItIs(t, w, test.noMQTT)
			if want := test.verdict == "ok"; ok != want {
				t.Errorf("all is well: %v, want %v:\n%s", ok, want, report)
			}
			wantLine(t, report, test.verdict, test.text)
			if test.followed {
				if got := <-followed; got != "\xe0\x00" {
					t.Errorf("behind the CONNECT came % x, want a DISCONNECT", got)
				}
			}
		})
	}
}

func portOf(t *testing.T, l net.Listener) string {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestCheckFailsForABackendThatIsUnwell(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{http.StatusOK: "ok", http.StatusServiceUnavailable: "failed"} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := apptest.NewWorld(t)
			health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(health.Close)
			w.Vars["VERNEGATE_BACKEND_HEALTH_URL"] = "http://{host}:" + portOf(t, health.Listener) + "/health/listeners"
			_, report := check(t, w)
			wantLine(t, report, want, "backend "+w.Backend.Addr().String())
		})
	}
}

func TestCheckWarnsOfWhatIsSetAndCannotBeMeant(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	second := certtest.NewCA("second")
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, second.Cert))
	w.Vars["VERNEGATE_TLS_CA"] += "," + w.Write("device.crt", w.Root.Issue("device").CertPEM())
	w.Vars["VERNEGATE_CRL_MISSING"] = "deny"
	w.Vars["CERTIFICATE_ACL_URL"] = strings.TrimSuffix(w.Vars["CERTIFICATE_ACL_URL"], "/")
	w.Vars["DOCKER_VERNEMQ_MAX_INFLIGHT_MESSAGE"] = "20"
	w.Vars["DOCKER_VERNEMQ_MAX_INFLIGHT_MESSAGES"] = "20"
	w.Vars["DOCKER_VERNEMQ_ACCEPT_EULA"] = "yes"
	_, report := check(t, w)
	wantLine(t, report, "warning", `VERNEGATE_CRL_MISSING=deny: CA "CN=second" has no CRL, and its devices are refused`)
	if strings.Contains(report, `CA "CN=root" has no CRL`) {
		t.Errorf("a CA with a CRL has none:\n%s", report)
	}
	wantLine(t, report, "warning", "CA file holds no CA certificate that can be used: file="+filepath.Join(w.Dir, "device.crt"))
	wantLine(t, report, "warning", "CERTIFICATE_ACL_URL: "+w.Vars["CERTIFICATE_ACL_URL"]+" has no slash at its end")
	wantLine(t, report, "warning", "max_inflight_message (DOCKER_VERNEMQ_MAX_INFLIGHT_MESSAGE) is a setting of no VerneMQ")
	wantLine(t, report, "warning", "max_inflight_messages (DOCKER_VERNEMQ_MAX_INFLIGHT_MESSAGES) has no counterpart: it is the broker's")
	wantLine(t, report, "warning", "accept_eula (DOCKER_VERNEMQ_ACCEPT_EULA) has no counterpart: it is the broker's")
}

func TestCheckNamesTheFilesWithoutACA(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	one, two := w.Write("one.crt", w.Root.Issue("one").CertPEM()), w.Write("two.crt", w.Root.Issue("two").CertPEM())
	w.Vars["VERNEGATE_TLS_CA"] = one + "," + two
	ok, report := check(t, w)
	if ok {
		t.Error("all is well without a CA")
	}
	wantLine(t, report, "failed", "VERNEGATE_TLS_CA: there is no CA certificate that can be used in "+one+", "+two)
}

func TestCheckSaysWhatItCannotTell(t *testing.T) {
	t.Parallel()
	_, report := check(t, apptest.NewWorld(t))
	wantLine(t, report, "ok", "answers 404 to a made-up fingerprint; whether the path is right cannot be told")
}

func TestCheckWarnsOfWhatWillBeWrong(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	soon, past := time.Now().Add(24*time.Hour), time.Now().Add(-5*time.Hour)
	server := w.Root.Issue("short-lived", certtest.Server("localhost"),
		certtest.NotBefore(soon.AddDate(-1, 0, 0)), certtest.NotAfter(soon))
	w.Vars["VERNEGATE_TLS_CERT"] = w.Write("short.crt", server.CertPEM())
	w.Vars["VERNEGATE_TLS_KEY"] = w.Write("short.key", server.KeyPEM())
	w.Vars["VERNEGATE_TLS_CIPHERS"] = "ECDHE-RSA-AES128-GCM-SHA256,AES128-SHA"
	w.Write("ca.crl", w.Root.CRL(certtest.CRLOptions{ThisUpdate: past.Add(-time.Hour), NextUpdate: past}))
	ok, report := check(t, w)
	if !ok {
		t.Error("it fails")
	}
	wantLine(t, report, "warning", `server certificate "CN=short-lived" expires soon`)
	wantLine(t, report, "warning", `CRL of "CN=root" with 0 entries should have been replaced on`)
	wantLine(t, report, "warning", "TLS_RSA_WITH_AES_128_CBC_SHA is insecure")
}

func TestCheckOfACRLThatIsAbsent(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.Vars["VERNEGATE_TLS_CRL"] = w.Dir + "/absent.crl"
	if ok, report := check(t, w); ok {
		t.Errorf("a named CRL is absent, and it ends with %v:\n%s", ok, report)
	}
	delete(w.Vars, "VERNEGATE_TLS_CRL")
	ok, report := check(t, w)
	if !ok {
		t.Error("only the default CRL is absent, and it fails")
	}
	wantLine(t, report, "warning", "CRL file is absent, nothing is revoked by it: file=/vernemq/cert/ca.crl")
}

func TestCheckReadsTicketKeys(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	key := strings.Repeat("0123456789abcdef", 4)
	w.Vars["VERNEGATE_TICKET_KEYS"] = w.Write("ticket.keys", []byte(key+"\n"+key+"\n"))
	if ok, report := check(t, w); !ok {
		t.Errorf("it fails; report:\n%s", report)
	} else {
		wantLine(t, report, "ok", "session ticket keys: 2")
	}
	w.Write("ticket.keys", []byte(key[:60]))
	ok, report := check(t, w)
	if ok {
		t.Error("it finds nothing wrong")
	}
	wantLine(t, report, "failed", "VERNEGATE_TICKET_KEYS")
	wantLine(t, report, "failed", "ticket.keys: line 1: not 32 bytes in hex or base64")
	if strings.Contains(report, key[:60]) {
		t.Errorf("the report quotes the file:\n%s", report)
	}
}

func TestCheckDoesNotShowTheAdminToken(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	for _, variable := range [][2]string{
		{"VERNEGATE_ADMIN_TOKEN", secret},
		{"VERNEGATE_ADMIN_TOKEN_FILE", writeToken(t, secret)},
	} {
		w := apptest.NewWorld(t)
		w.Vars[variable[0]] = variable[1]
		ok, report := check(t, w)
		if !ok || strings.Contains(report, secret) {
			t.Errorf("with %s, check is well: %v, and prints %q", variable[0], ok, report)
		}
		wantLine(t, report, "value", variable[0]+"=(secret) from the environment")
	}
}

func TestCheckTellsWhereValuesAreFrom(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	ca := w.Vars["VERNEGATE_TLS_CA"]
	delete(w.Vars, "VERNEGATE_TLS_CA")
	w.Vars["VERNEMQ_CONF"] = conf(
		"listener.ssl.default = 0.0.0.0:8883",
		"listener.ssl.default.cafile = "+ca,
		"listener.ssl.default.ciphers = ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-SHA",
		"max_inflight_messages = 20",
		"max_inflight_messages = 21",
	)
	w.Vars["PLUGIN_ACL_CHAIN"] = "y"
	w.Vars["DOCKER_VERNEMQ_KUBERNETES_NAMESPACE"] = "dojot"
	ok, report := check(t, w)
	if !ok {
		t.Error("it fails")
	}
	for _, line := range [][2]string{
		{"value", `VERNEGATE_TLS_CA="` + ca + `" from listener.ssl.default.cafile (VERNEMQ_CONF line 2)`},
		{"value", `VERNEGATE_LISTEN="127.0.0.1:0" from the environment`},
		{"value", `VERNEGATE_ACL_TTL="60s" from the default`},
		{"warning", "listener.ssl.default (VERNEMQ_CONF line 1) does not count: VERNEGATE_LISTEN is set"},
		{"warning", "listener.ssl.default.ciphers (VERNEMQ_CONF line 3) counts in part: without DHE-RSA-AES128-SHA: devices that"},
		{"warning", "max_inflight_messages (VERNEMQ_CONF line 4) does not count: max_inflight_messages (VERNEMQ_CONF line 5) comes later"},
		{"warning", "max_inflight_messages (VERNEMQ_CONF line 5) has no counterpart"},
		{"warning", "PLUGIN_ACL_CHAIN has no counterpart"},
		{"warning", "DOCKER_VERNEMQ_KUBERNETES_NAMESPACE has no counterpart"},
	} {
		wantLine(t, report, line[0], line[1])
	}
}

// Half of a pair is one mistake. The other half is no file that cannot be opened.
func TestCheckOpensNoHalfOfAPair(t *testing.T) {
	t.Parallel()
	for _, missing := range []string{"VERNEGATE_ACL_KEY", "VERNEGATE_ACL_CERT", "VERNEGATE_BACKEND_TLS_KEY", "VERNEGATE_BACKEND_TLS_CERT"} {
		w := newSecureWorld(t)
		delete(w.Vars, missing)
		ok, report := checkAsItIs(t, w.World, true)
		if ok {
			t.Errorf("without %s it finds nothing wrong", missing)
		}
		wantLine(t, report, "failed", " in "+missing+", too")
		if n := strings.Count(report, "failed "); n != 1 {
			t.Errorf("without %s: %d failures, want 1:\n%s", missing, n, report)
		}
	}
}

func TestFilesThatSettingsNameAndAreNotThere(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	delete(w.Vars, "VERNEGATE_TLS_CA")
	absent := filepath.Join(w.Dir, "absent.crt")
	w.Vars["VERNEMQ_CONF"] = conf("listener.ssl.default = 0.0.0.0:8883", "listener.ssl.cafile = "+absent)
	ok, report := check(t, w)
	if ok {
		t.Error("it finds nothing wrong")
	}
	wantLine(t, report, "failed", "VERNEGATE_TLS_CA from listener.ssl.cafile (VERNEMQ_CONF line 2): reading CA file: open "+absent)
}

// conf is a vernemq.conf with these lines, as VERNEMQ_CONF holds it.
func conf(lines ...string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Join(lines, "\n")))
}

func writeToken(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Without certificate-acl among the sources, the file of owners is checked in its place.
func TestCheckReadsTheFileOfOwners(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		ok            bool
		verdict, line string
	}{
		"CN=lamp acme:lamp\nCN=odd acme/#\n": {true, "ok", "owners.map with 2 lines"},
		"CN=odd acme/#\n":                    {true, "warning", "line 1: the owner contains"},
		"lamp acme:lamp\n":                   {false, "failed", "VERNEGATE_IDENTITY_FILE: "},
	} {
		w := apptest.NewWorld(t)
		w.Vars["VERNEGATE_IDENTITY"] = "file"
		w.Vars["VERNEGATE_IDENTITY_FILE"] = w.Write("owners.map", []byte(text))
		ok, report := check(t, w)
		if ok != want.ok {
			t.Errorf("%q: all is well: %v", text, ok)
		}
		wantLine(t, report, want.verdict, want.line)
		if strings.Contains(report, "certificate-acl at ") {
			t.Errorf("%q: certificate-acl is asked", text)
		}
	}
}
