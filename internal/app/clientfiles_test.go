// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A secureWorld is a world whose backend and certificate-acl speak TLS, with a CA of
// their own, to whoever has a certificate of that CA. certificate-acl wants a token, too.
type secureWorld struct {
	*apptest.World
	ca *certtest.CA
}

const aclToken = "s3cret-of-certificate-acl"

// newSecureWorld returns a world in which everything is right.
func newSecureWorld(t *testing.T) secureWorld {
	t.Helper()
	w := secureWorld{apptest.NewWorld(t), certtest.NewCA("inner")}
	server := &tls.Config{
		Certificates: []tls.Certificate{w.ca.Issue("server", certtest.Server("127.0.0.1")).TLS()},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: w.ca.Pool(),
	}
	w.Backend = tls.NewListener(w.Backend, server)
	acl := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+aclToken {
			rw.WriteHeader(http.StatusUnauthorized)
			return
		}
		rw.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(rw, `{"error":"The fingerprint %s doesn't exist."}`, path.Base(r.URL.Path))
	}))
	acl.TLS = server.Clone()
	acl.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	acl.StartTLS()
	t.Cleanup(acl.Close)

	gate := w.ca.Issue("gate")
	ca, cert, key := w.Write("inner.crt", w.ca.PEM()), w.Write("gate.crt", gate.CertPEM()), w.Write("gate.key", gate.KeyPEM())
	for name, value := range map[string]string{
		"VERNEGATE_BACKEND_TLS": "on", "VERNEGATE_BACKEND_TLS_CA": ca, "VERNEGATE_BACKEND_TLS_CERT": cert, "VERNEGATE_BACKEND_TLS_KEY": key,
		"CERTIFICATE_ACL_URL": acl.URL + "/acl-entries/",
		"VERNEGATE_ACL_CA":    ca, "VERNEGATE_ACL_CERT": cert, "VERNEGATE_ACL_KEY": key,
		"VERNEGATE_ACL_TOKEN_FILE": w.Write("token", []byte(aclToken+"\n")),
	} {
		w.Vars[name] = value
	}
	return w
}

func TestCheckSpeaksTLS(t *testing.T) {
	t.Parallel()
	w := newSecureWorld(t)
	ok, report := check(t, w.World)
	if !ok {
		t.Error("it fails")
	}
	for _, text := range []string{
		`CA for backends "CN=inner"`, `certificate for backends "CN=gate"`, `CA for certificate-acl "CN=inner"`, `certificate for certificate-acl "CN=gate"`,
		"backend " + w.Backend.Addr().String() + " is well and accepts clients", "certificate-acl at https://",
	} {
		wantLine(t, report, "ok", text)
	}
	if strings.Contains(report, aclToken) {
		t.Error("the report has the token")
	}
}

// Each way in which TLS can be set up wrongly is told by what fails.
func TestCheckNamesWhatIsWrongWithTLS(t *testing.T) {
	t.Parallel()
	plain := apptest.ListenLoopback(t)
	apptest.AnswerConnects(t, plain, false, "")
	for name, test := range map[string]struct {
		change func(w secureWorld)
		want   []string
	}{
		"another CA": {
			func(w secureWorld) {
				other := w.Write("other.crt", certtest.NewCA("other").PEM())
				w.Vars["VERNEGATE_BACKEND_TLS_CA"], w.Vars["VERNEGATE_ACL_CA"] = other, other
			},
			[]string{"backend 127.0.0.1", "TLS handshake", "unknown authority", "certificate-acl at"},
		},
		"no certificate": {
			func(w secureWorld) {
				for _, name := range []string{"BACKEND_TLS", "ACL"} {
					delete(w.Vars, "VERNEGATE_"+name+"_CERT")
					delete(w.Vars, "VERNEGATE_"+name+"_KEY")
				}
			},
			[]string{"backend 127.0.0.1", "TLS handshake", "certificate required", "certificate-acl at"},
		},
		"another name": {
			func(w secureWorld) { w.Vars["VERNEGATE_BACKEND_TLS_SERVER_NAME"] = "broker.example.org" },
			[]string{"backend 127.0.0.1", "broker.example.org"},
		},
		"plain TCP": {
			func(w secureWorld) {
				for name := range w.Vars {
					if strings.HasPrefix(name, "VERNEGATE_BACKEND_TLS") {
						delete(w.Vars, name)
					}
				}
			},
			[]string{"backend 127.0.0.1", "or TLS, see VERNEGATE_BACKEND_TLS"},
		},
		"a broker without TLS": {
			func(w secureWorld) { w.Vars["VERNEGATE_BACKENDS"] = plain.Addr().String() },
			[]string{"TLS handshake", "it may not speak TLS at this port", "it may expect a PROXY header"},
		},
		"a broker without TLS or PROXY headers": {
			func(w secureWorld) {
				w.Vars["VERNEGATE_BACKENDS"], w.Vars["VERNEGATE_BACKEND_PROXY_PROTOCOL"] = plain.Addr().String(), "v2"
			},
			[]string{"TLS handshake", "it may not expect the PROXY header of VERNEGATE_BACKEND_PROXY_PROTOCOL"},
		},
		"another token": {
			func(w secureWorld) { w.Write("token", []byte("another-token")) },
			[]string{"certificate-acl at", "401"},
		},
		"files that are none": {
			func(w secureWorld) {
				w.Write("gate.key", w.ca.Issue("other").KeyPEM())
				w.Write("token", []byte("two words"))
			},
			[]string{"VERNEGATE_BACKEND_TLS_CERT, VERNEGATE_BACKEND_TLS_KEY", "VERNEGATE_ACL_TOKEN_FILE", "does not match", "expected one bearer token"},
		},
		"absent files": {
			func(w secureWorld) { w.Vars["VERNEGATE_BACKEND_TLS_CA"] = w.Dir + "/absent.crt" },
			[]string{"VERNEGATE_BACKEND_TLS_CA", "absent.crt"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newSecureWorld(t)
			test.change(w)
			ok, report := check(t, w.World)
			if ok {
				t.Error("it finds nothing wrong")
			}
			failed := ""
			for line := range strings.Lines(report) {
				if strings.HasPrefix(line, "failed ") {
					failed += line
				}
			}
			for _, want := range test.want {
				if !strings.Contains(failed, want) {
					t.Errorf("no failure with %q in the report:\n%s", want, report)
				}
			}
			if strings.Contains(report, aclToken) || strings.Contains(report, "another-token") {
				t.Error("the report has the token")
			}
		})
	}
}

// Of a pair that is being replaced in place, and of a token: a broken one keeps the last good one in use, and is named.
func TestClientFilesAreReloaded(t *testing.T) {
	t.Parallel()
	w := newSecureWorld(t)
	cfg := mustLoad(t, w.Environ()...)
	files, err := openClientFiles(t.Context(), cfg, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	config := files.brokerTLS(cfg, func(string) string { return "vernemq" })
	before, token := config("192.0.2.1:8883"), files.aclToken()
	if before.ServerName != "vernemq" || token != aclToken || files.aclTLS() == nil {
		t.Errorf("got server name %q and token %q", before.ServerName, token)
	}
	next := w.ca.Issue("next")
	w.Write("gate.crt", next.CertPEM())
	w.Write("token", []byte("a b"))
	err = files.reload()
	if err == nil || !strings.Contains(err.Error(), "gate.key") || !strings.Contains(err.Error(), "expected one bearer token") {
		t.Errorf("got %v", err)
	}
	if config("192.0.2.1:8883") != before || files.aclToken() != aclToken {
		t.Error("the last good ones are not in use")
	}
	if got := len(files.refusals()); got != 3 {
		t.Errorf("%d parts are refused, want 3", got)
	}
	w.Write("gate.key", next.KeyPEM())
	w.Write("token", []byte("rotated"))
	if err := files.reload(); err != nil || len(files.refusals()) != 0 {
		t.Errorf("got %v", err)
	}
	shown, err := config("192.0.2.1:8883").GetClientCertificate(nil)
	if err != nil || !shown.Leaf.Equal(next.Leaf) || files.aclToken() != "rotated" {
		t.Errorf("got %v, token %q and %v", shown.Leaf.Subject, files.aclToken(), err)
	}
}

// Whoever renews the server's certificate also has to see these, on the page and in the metrics.
func TestExpiryOfClientCertificatesIsShown(t *testing.T) {
	t.Parallel()
	w := newSecureWorld(t)
	a := newTestAppIn(t, w.World)
	files, err := openClientFiles(t.Context(), a.cfg, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	parts := *a.parts.Load()
	parts.files = files
	a.parts.Store(&parts)
	shown := 0
	for _, c := range a.status().Trust.Certificates {
		if c.Kind == admin.KindClient {
			shown++
			if c.Subject != "CN=gate" || c.DaysLeft != 0 {
				t.Errorf("got %+v", c)
			}
		}
	}
	if shown != 1 {
		t.Errorf("%d certificates of a client are shown, want the one that is used for both", shown)
	}
	r := prometheus.NewRegistry()
	r.MustRegister(files)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		series[f.GetName()] = len(f.GetMetric())
	}
	want := map[string]int{
		"vernegate_trust_part_refused":                         7, // three files twice, and the token
		"vernegate_trust_certificate_expiry_timestamp_seconds": 1,
		"vernegate_trust_certificate_due_timestamp_seconds":    2,
	}
	if !maps.Equal(series, want) {
		t.Errorf("got %v, want %v", series, want)
	}
}
