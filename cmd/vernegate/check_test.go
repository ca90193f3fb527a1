// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

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
	w := newWorld(t)
	code, report := w.check()
	if code != exitOK {
		t.Errorf("ends with %d", code)
	}
	for line := range strings.Lines(report) {
		if !strings.HasPrefix(line, "ok ") && !strings.HasPrefix(line, "value ") && !strings.HasPrefix(line, "note ") {
			t.Errorf("complains: %s", line)
		}
	}
	wantLine(t, report, "note", "VERNEGATE_CLIENT_ID=any: an owner may use every client id")
	for _, subject := range []string{
		"configuration", `server certificate "CN=vernegate"`, `CA "CN=root"`, `CRL of "CN=root" with 0 entries`,
		"certificate-acl at " + w.acl.URL, "backend " + w.backend.Addr().String(),
	} {
		wantLine(t, report, "ok", subject)
	}
}

func TestCheckNamesWrongVariablesAndFilesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["VERNEGATE_BACKENDS"] = "nowhere"
	w.vars["VERNEGATE_TLS_KEY"] = w.write("other.key", w.root.Issue("other").KeyPEM())
	w.vars["VERNEGATE_TLS_CA"] = w.dir + "/absent.crt"
	code, report := w.check()
	if code != exitMistake {
		t.Errorf("ends with %d, want %d", code, exitMistake)
	}
	wantLine(t, report, "failed", `VERNEGATE_BACKENDS="nowhere"`)
	wantLine(t, report, "failed", "other.key")
	wantLine(t, report, "failed", "absent.crt")
	wantLine(t, report, "skipped", "certificate-acl and the backends")
}

func TestCheckFailsWithoutCertificateACL(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"status 503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"body":       func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"body: a 404 that is not certificate-acl's": http.NotFound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			acl := httptest.NewServer(handler)
			t.Cleanup(acl.Close)
			w.vars["CERTIFICATE_ACL_URL"] = acl.URL + "/"
			code, report := w.check()
			if code != exitMistake {
				t.Errorf("ends with %d, want %d", code, exitMistake)
			}
			wantLine(t, report, "failed", "asking certificate-acl: "+name)
		})
	}
}

func TestCheckAsksAboutNoCertificateOfAnybody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked := make(chan string, 1)
	acl := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = w.Write([]byte(`"everybody"`))
	}))
	t.Cleanup(acl.Close)
	w.vars["CERTIFICATE_ACL_URL"] = acl.URL + "/"
	code, report := w.check()
	if code != exitOK {
		t.Errorf("ends with %d", code)
	}
	if got, want := <-asked, "/00"+strings.Repeat(":00", 31); got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
	wantLine(t, report, "warning", "names an owner of a certificate that does not exist")
}

func TestCheckFailsForEachBackendThatIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	down := listenLoopback(t)
	_ = down.Close()
	w.vars["VERNEGATE_BACKENDS"] = down.Addr().String() + "," + w.backend.Addr().String()
	code, report := w.check()
	if code != exitMistake {
		t.Errorf("ends with %d, want %d", code, exitMistake)
	}
	wantLine(t, report, "failed", "backend "+down.Addr().String())
	wantLine(t, report, "ok", "backend "+w.backend.Addr().String())
}

func TestCheckFailsForABackendsNameThatDoesNotResolve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["VERNEGATE_BACKENDS"] = "vernemq.invalid:1883,localhost:" + portOf(t, w.backend)
	code, report := w.check()
	if code != exitMistake {
		t.Errorf("ends with %d, want %d", code, exitMistake)
	}
	wantLine(t, report, "failed", "backend vernemq.invalid:1883: lookup")
	wantLine(t, report, "ok", "backend localhost:"+portOf(t, w.backend)+" at "+w.backend.Addr().String())
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
			w := newWorld(t)
			w.answering.Do(func() {})
			followed := answerConnects(t, w.backend, test.demands, test.connack)
			w.vars["VERNEGATE_BACKEND_PROXY_PROTOCOL"] = test.proxyProtocol
			var args []string
			if test.noMQTT {
				args = []string{"-no-mqtt"}
			}
			code, report := w.check(args...)
			if want := map[string]int{"ok": exitOK, "failed": exitMistake}[test.verdict]; code != want {
				t.Errorf("ends with %d, want %d:\n%s", code, want, report)
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
			w := newWorld(t)
			health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
			t.Cleanup(health.Close)
			w.vars["VERNEGATE_BACKEND_HEALTH_URL"] = "http://{host}:" + portOf(t, health.Listener) + "/health/listeners"
			_, report := w.check()
			wantLine(t, report, want, "backend "+w.backend.Addr().String())
		})
	}
}

func TestCheckWarnsOfWhatWillBeWrong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	soon, past := time.Now().Add(24*time.Hour), time.Now().Add(-time.Hour)
	server := w.root.Issue("short-lived", certtest.Server("localhost"),
		certtest.NotBefore(soon.AddDate(-1, 0, 0)), certtest.NotAfter(soon))
	w.vars["VERNEGATE_TLS_CERT"] = w.write("short.crt", server.CertPEM())
	w.vars["VERNEGATE_TLS_KEY"] = w.write("short.key", server.KeyPEM())
	w.vars["VERNEGATE_TLS_CIPHERS"] = "ECDHE-RSA-AES128-GCM-SHA256,AES128-SHA"
	w.write("ca.crl", w.root.CRL(certtest.CRLOptions{ThisUpdate: past.Add(-time.Hour), NextUpdate: past}))
	code, report := w.check()
	if code != exitOK {
		t.Errorf("ends with %d", code)
	}
	wantLine(t, report, "warning", `server certificate "CN=short-lived" expires soon`)
	wantLine(t, report, "warning", `CRL of "CN=root" with 0 entries was due to be replaced`)
	wantLine(t, report, "warning", "TLS_RSA_WITH_AES_128_CBC_SHA is insecure")
}

func TestCheckOfACRLThatIsAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["VERNEGATE_TLS_CRL"] = w.dir + "/absent.crl"
	if code, report := w.check(); code != exitMistake {
		t.Errorf("a named CRL is absent, and it ends with %d:\n%s", code, report)
	}
	delete(w.vars, "VERNEGATE_TLS_CRL")
	code, report := w.check()
	if code != exitOK {
		t.Errorf("only the default CRL is absent, and it ends with %d", code)
	}
	wantLine(t, report, "warning", "CRL file is absent, nothing is revoked by it: file=/vernemq/cert/ca.crl")
}

func TestCheckReadsTicketKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := strings.Repeat("0123456789abcdef", 4)
	w.vars["VERNEGATE_TICKET_KEYS"] = w.write("ticket.keys", []byte(key+"\n"+key+"\n"))
	if code, report := w.check(); code != exitOK {
		t.Errorf("ends with %d; report:\n%s", code, report)
	} else {
		wantLine(t, report, "ok", "session ticket keys: 2")
	}
	w.write("ticket.keys", []byte(key[:60]))
	code, report := w.check()
	if code != exitMistake {
		t.Errorf("ends with %d, want %d", code, exitMistake)
	}
	wantLine(t, report, "failed", "VERNEGATE_TICKET_KEYS")
	wantLine(t, report, "failed", "ticket.keys: line 1: not 32 bytes in hex or base64")
	if strings.Contains(report, key[:60]) {
		t.Errorf("the report quotes the file:\n%s", report)
	}
}
