// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/packets"
)

func TestServeNamesWrongVariablesAndFilesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Vars["VERNEGATE_LISTEN"] = "8883"
	w.Vars["VERNEGATE_LISTENER"] = ":8883"
	w.Vars["VERNEGATE_TLS_KEY"] = w.Write("other.key", w.Root.Issue("other").KeyPEM())
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
	for variable, wrong := range map[string]func(vars map[string]string){
		"VERNEGATE_TLS_KEY": func(vars map[string]string) { vars["VERNEGATE_TLS_CERT"] += ",/another.crt" },
		"VERNEGATE_TLS_CA":  func(vars map[string]string) { vars["VERNEGATE_TLS_CA"] = "/$NOSUCH/ca.crt" },
	} {
		w := newWorld(t)
		wrong(w.Vars)
		_, printed := w.serve()
		if got := strings.Count(printed, "\n"); got != 2 || !strings.Contains(printed, variable+"=") {
			t.Errorf("printed %q, want a heading and a line about %s", printed, variable)
		}
	}
}

func TestServePortTakenSaysWhich(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"VERNEGATE_LISTEN", "VERNEGATE_SERVICE_LISTEN", "VERNEGATE_ADMIN"} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			taken := apptest.ListenLoopback(t).Addr().String()
			w.Vars[variable] = taken
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
	if err := os.Remove(w.Vars["VERNEGATE_TLS_CA"]); err != nil {
		t.Fatal(err)
	}
	v := w.start()
	admin := v.await("listening")["address"].(string)
	v.await("waiting for a good set of trust files")
	if status, body := get(t, "http://"+admin+"/readyz"); status != http.StatusServiceUnavailable || body != "waiting for a first good set of trust files\n" {
		t.Errorf("/readyz says %d %q while there are no files", status, body)
	}
	if status, _ := get(t, "http://"+admin+"/livez"); status != http.StatusOK {
		t.Errorf("/livez says %d while there are no files", status)
	}
	if code := v.stop(); code != exitOK {
		t.Errorf("ends with %d, want %d", code, exitOK)
	}
}

func TestServeNamesCertificateACLOnlyWhereItIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Vars["VERNEGATE_IDENTITY"], w.Vars["VERNEGATE_IDENTITY_TEMPLATE"] = "subject", "acme:{cn}"
	v := w.start()
	if got, ok := v.await("started")["certificate_acl"]; ok {
		t.Errorf("started with certificate-acl at %v, which is not asked", got)
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
	w.ACL.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`"acme:lamp"`)) })
	v := w.start()
	admin := v.await("listening")["address"].(string)
	devices := v.await("listening")["address"].(string)
	started := v.await("started")
	if got := started["generation"]; got != 1.0 {
		t.Errorf("started with generation %v", got)
	}
	if got := started["certificate_acl"]; got == nil {
		t.Errorf("started without the address of certificate-acl")
	}
	if status, _ := get(t, "http://"+admin+"/readyz"); status != http.StatusOK {
		t.Errorf("/readyz says %d once started", status)
	}

	username := make(chan string, 1)
	go func() {
		conn, err := w.Backend.Accept()
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
		raw, err := connect.Rewrite(packets.Edit{}) // as it was sent: the username is the last field
		if err != nil {
			username <- err.Error()
			return
		}
		username <- string(raw[len(raw)-len("acme:lamp"):])
	}()
	conn, err := tls.Dial("tcp", devices, &tls.Config{
		RootCAs:      w.Root.Pool(),
		Certificates: []tls.Certificate{w.Root.Issue("lamp").TLS()},
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
		`vernegate_backend_up{backend="` + w.Backend.Addr().String() + `"} 1`,
	} {
		if !strings.Contains(metrics, "\n"+series+"\n") {
			t.Errorf("the metrics do not have %s", series)
		}
	}
	if code := v.stop(); code != exitOK {
		t.Errorf("ends with %d, want %d", code, exitOK)
	}
	v.await("connection ended")
	v.await("stopped")
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

func TestServeStartsWithTheOldEnvironmentAndWarns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	address := apptest.ListenLoopback(t)
	_ = address.Close()
	setting := map[string]string{"VERNEGATE_TLS_CERT": "certfile", "VERNEGATE_TLS_KEY": "keyfile", "VERNEGATE_TLS_CA": "cafile", "VERNEGATE_TLS_CRL": "crlfile"}
	lines := []string{"listener.ssl.default = " + address.Addr().String(), "systree_enabled = off", "listener.ssl.default.depth = 2"}
	for variable, option := range setting {
		lines = append(lines, "listener.ssl.default."+option+" = "+w.Vars[variable])
		delete(w.Vars, variable)
	}
	delete(w.Vars, "VERNEGATE_LISTEN")
	w.Vars["VERNEMQ_CONF"] = base64.StdEncoding.EncodeToString([]byte(strings.Join(lines, "\n")))
	r := w.start()
	if line := r.await("configuration of the patched broker"); !strings.Contains(line["finding"].(string), "listener.ssl.default.depth (VERNEMQ_CONF line 3)") {
		t.Errorf("warned about %v", line["finding"])
	}
	if line := r.await("settings without a counterpart: they are the broker's"); !slices.Equal(line["settings"].([]any), []any{"systree_enabled"}) {
		t.Errorf("warned about %v", line["settings"])
	}
	r.await("listening") // admin
	if line := r.await("listening"); line["address"] != address.Addr().String() {
		t.Errorf("listening on %v, want %v", line["address"], address.Addr())
	}
	r.await("started")
	if code := r.stop(); code != exitOK {
		t.Errorf("ends with %d", code)
	}
}
