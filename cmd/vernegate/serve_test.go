// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/packets"
	"github.com/vernegate/vernegate/truststore"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestServeNamesWrongVariablesAndFilesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["VERNEGATE_LISTEN"] = "8883"
	w.vars["VERNEGATE_LISTENER"] = ":8883"
	w.vars["VERNEGATE_TLS_KEY"] = w.write("other.key", w.root.Issue("other").KeyPEM())
	code, printed := w.serve()
	if code != exitMistake {
		t.Errorf("ends with %d, want %d", code, exitMistake)
	}
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	if len(lines) != 4 || lines[0] != "vernegate: wrong configuration:" {
		t.Fatalf("printed %q, want a heading and three mistakes", lines)
	}
	for i, want := range []string{`VERNEGATE_LISTEN="8883": `, "VERNEGATE_LISTENER: ", "other.key"} {
		if got := lines[i+1]; !strings.Contains(got, want) {
			t.Errorf("line %d is %q, want one about %q", i+1, got, want)
		}
	}
}

func TestServeFilesThatVariablesMisnameAreNoSecondMistake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.vars["VERNEGATE_TLS_CERT"] += ",/another.crt"
	_, printed := w.serve()
	if got := strings.Count(printed, "\n"); got != 2 || !strings.Contains(printed, "VERNEGATE_TLS_KEY=") {
		t.Errorf("printed %q, want a heading and a line about VERNEGATE_TLS_KEY", printed)
	}
}

func TestServePortTakenSaysWhich(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"VERNEGATE_LISTEN", "VERNEGATE_SERVICE_LISTEN", "VERNEGATE_ADMIN"} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			taken := listenLoopback(t).Addr().String()
			w.vars[variable] = taken
			code, printed := w.serve()
			if code != exitFailed {
				t.Errorf("ends with %d, want %d", code, exitFailed)
			}
			if want := "listening as " + variable + " says: listen tcp " + taken; !strings.Contains(printed, want) {
				t.Errorf("printed %s, want %q in it", printed, want)
			}
		})
	}
}

func TestServeStopsWhileItWaitsForFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.Remove(w.vars["VERNEGATE_TLS_CA"]); err != nil {
		t.Fatal(err)
	}
	v := w.start()
	admin := v.await("listening")["address"].(string)
	v.await("waiting for a good set of trust files")
	if status, body := get(t, "http://"+admin+"/readyz"); status != http.StatusServiceUnavailable || body != errNoGeneration.Error()+"\n" {
		t.Errorf("/readyz says %d %q while there are no files", status, body)
	}
	if status, _ := get(t, "http://"+admin+"/livez"); status != http.StatusOK {
		t.Errorf("/livez says %d while there are no files", status)
	}
	if code := v.stop(); code != exitOK {
		t.Errorf("ends with %d, want %d", code, exitOK)
	}
}

// connectPacket is a CONNECT of MQTT 3.1.1 with clean session, a keep-alive of
// 60 s and the client id "lamp".
const connectPacket = "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04lamp"

// TestServeTakesADevice is about the wiring; what happens to a device is the
// proxy's and the end-to-end tests' concern.
func TestServeTakesADevice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.acl.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"acme:lamp"`)) })
	v := w.start()
	admin := v.await("listening")["address"].(string)
	devices := v.await("listening")["address"].(string)
	started := v.await("started")
	if got := started["generation"]; got != 1.0 {
		t.Errorf("started with generation %v", got)
	}
	if status, _ := get(t, "http://"+admin+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz says %d once started", status)
	}

	username := make(chan string, 1)
	go func() {
		conn, err := w.backend.Accept()
		if err != nil {
			username <- err.Error()
			return
		}
		defer conn.Close()
		connect, err := packets.ReadConnect(conn, 1<<10)
		if err != nil {
			username <- err.Error()
			return
		}
		name, _ := connect.Username()
		username <- name
	}()
	conn, err := tls.Dial("tcp", devices, &tls.Config{
		RootCAs:      w.root.Pool(),
		Certificates: []tls.Certificate{w.root.Issue("lamp").TLS()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(connectPacket)); err != nil {
		t.Fatal(err)
	}
	if got := <-username; got != "acme:lamp" {
		t.Errorf("the backend saw the username %q", got)
	}
	_, metrics := get(t, "http://"+admin+"/metrics")
	for _, series := range []string{
		`vernegate_connections_accepted_total{listener="devices"} 1`,
		`vernegate_identity_answers_total{outcome="miss"} 1`,
		`vernegate_identity_lookup_duration_seconds_count{result="owned"} 1`,
		`vernegate_trust_looks_total{result="swapped"} 1`,
		`vernegate_trust_generation 1`,
		`vernegate_backend_up{backend="` + w.backend.Addr().String() + `"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+series+"\n") {
			t.Errorf("the metrics do not have %s", series)
		}
	}
	if code := v.stop(); code != exitOK {
		t.Errorf("ends with %d, want %d", code, exitOK)
	}
	wantLoggedKeysExplained(t, v.await("connection ended"))
	v.await("stopped")
}

func TestReloadOnHangupReadsTheFilesNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store, err := truststore.Open(t.Context(), mustLoad(t, w.environ()...).trustConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	w.write("ca.crt", certtest.CertsPEM(w.root.Cert, certtest.NewCA("second").Cert))
	hangup := make(chan os.Signal) // taking the second one ends the first
	go func() { _ = reloadOnHangup(t.Context(), hangup, store) }()
	hangup <- syscall.SIGHUP
	hangup <- syscall.SIGHUP
	if got := store.Current().Sequence(); got != 2 {
		t.Errorf("generation %d is in use, want 2", got)
	}
}

func TestTrustSpeaksTheProxysLanguage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	revoked, stranger := w.root.Issue("revoked"), certtest.NewCA("other").Issue("stranger")
	w.write("ca.crl", w.root.CRL(certtest.CRLOptions{Revoked: []*x509.Certificate{revoked.Leaf}}))
	second := certtest.NewCA("second")
	w.write("ca.crt", certtest.CertsPEM(w.root.Cert, second.Cert))
	w.vars["VERNEGATE_CRL_MISSING"] = "deny"
	store, err := truststore.Open(t.Context(), mustLoad(t, w.environ()...).trustConfig(nil))
	if err != nil {
		t.Fatal(err)
	}
	believed := trust{store.Current()}
	for name, row := range map[string]struct {
		cert *certtest.Cert
		want error
	}{
		"good":        {w.root.Issue("good"), nil},
		"revoked":     {revoked, pki.ErrRevoked},
		"without CRL": {second.Issue("x"), pki.ErrRevocationUnknown},
	} {
		if _, err := believed.Verify(row.cert.Chain(), nil); !errors.Is(err, row.want) {
			t.Errorf("%s: got %v, want %v", name, err, row.want)
		}
	}
	_, err = believed.Verify(stranger.Chain(), nil)
	if _, is := errors.AsType[x509.UnknownAuthorityError](err); !is {
		t.Error("a stranger's certificate is no x509.UnknownAuthorityError")
	}
	if (trust{store.Current()}) != believed {
		t.Error("one generation makes two trusts")
	}
}

// get returns the status and body of an answer.
func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
