// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestStatusBeforeTheStart(t *testing.T) {
	t.Parallel()
	a := New(mustLoad(t), Build{}, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler))
	s := a.status()
	if s.State != admin.Starting || s.Detail != errNoGeneration.Error() || s.Trust != nil || s.CertificateACL != nil || s.Sessions != nil {
		t.Errorf("got %+v", s)
	}
	if a.sessions() != nil {
		t.Error("there are sessions before the start")
	}
	if _, err := a.reload(t.Context()); !errors.Is(err, admin.ErrNotStarted) {
		t.Errorf("reload: got %v, want %v", err, admin.ErrNotStarted)
	}
}

func TestStatusTellsWhatThereIs(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.Vars["CERTIFICATE_ACL_URL"] = "http://me:hunter2@127.0.0.1:1/"
	lost := w.Root.Issue("lost")
	w.Write("ca.crl", w.Root.CRL(certtest.CRLOptions{
		Number: 7, Revoked: []*x509.Certificate{lost.Leaf},
		ThisUpdate: time.Now().Add(-26 * time.Hour), NextUpdate: time.Now().Add(-25 * time.Hour),
	}))
	a := newTestAppIn(t, w)
	a.ready.set(errShuttingDown)
	s := a.status()
	if s.State != admin.Draining || s.Trust == nil || s.LastLook == nil || s.CertificateACL == nil {
		t.Fatalf("got %+v", s)
	}
	if got := s.Sessions; len(got) != 3 || got["devices"] != 0 || got["services"] != 0 || got["websocket"] != 0 {
		t.Errorf("got sessions %v, want none of devices, of services and by WebSocket", got)
	}
	if s.Trust.Generation != 1 || len(s.Trust.Files) != 4 || len(s.Trust.Certificates) != 2 || s.LastLook.Result != "swapped" {
		t.Errorf("got %+v and %+v", s.Trust, s.LastLook)
	}
	content, err := os.ReadFile(s.Trust.Files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(content); s.Trust.Files[0].SHA256 != hex.EncodeToString(sum[:]) {
		t.Errorf("got hash %s of %s", s.Trust.Files[0].SHA256, s.Trust.Files[0].Path)
	}
	crl := s.Trust.CRLs[0]
	if crl.Number != "7" || crl.Entries != 1 || crl.Severity != admin.Critical || crl.Issuer != "CN=root" {
		t.Errorf("got CRL %+v", crl)
	}
	if got := s.CertificateACL.URL; got != "http://redacted@127.0.0.1:1/" {
		t.Errorf("got URL %s", got)
	}
	if !s.AnyClientID {
		t.Error("the status does not say that an owner may use any client id")
	}
	if len(s.Limits) == 0 || s.Limits[0].Limit <= 0 || *s.Limits[0].Used != 0 {
		t.Errorf("got limits %+v", s.Limits)
	}
}

// CAs that are offline write "never" as the last moment that a date has.
func TestStatusOfAListThatHoldsForEver(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	never := time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)
	w.Write("ca.crl", w.Root.CRL(certtest.CRLOptions{Number: 7, NextUpdate: never}))
	s := newTestAppIn(t, w).status()
	if got := s.Trust.CRLs[0]; !got.NextUpdate.Equal(never) || !got.GoodUntil.Equal(never) {
		t.Errorf("got next update %v, good until %v, want %v", got.NextUpdate, got.GoodUntil, never)
	}
	if _, err := json.Marshal(s); err != nil {
		t.Error(err)
	}
}

func TestStatusOfBackends(t *testing.T) {
	t.Parallel()
	for state, want := range map[backend.State]admin.Severity{
		backend.Up: admin.OK, backend.Returning: admin.Warning, backend.Gone: admin.Warning,
		backend.Ejected: admin.Critical, backend.Unresolved: admin.Critical,
	} {
		got := backendStatus([]backend.Status{{Addr: "a:1", Name: "n:1", Sessions: 3, State: state, Reason: "dial", Detail: "refused"}})
		if len(got) != 1 || got[0] != (admin.Backend{
			Address: "a:1", Name: "n:1", Sessions: 3, State: state.String(), Severity: want, Reason: "dial", Detail: "refused",
		}) {
			t.Errorf("%v: got %+v, want %s", state, got, want)
		}
	}
	if got := newTestAppIn(t, apptest.NewWorld(t)).status().Backends; len(got) == 0 {
		t.Error("there are no backends")
	}
}

func TestReloadTellsOfTheGeneration(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	a := newTestAppIn(t, w)
	want := func(generation uint64, changed, good bool) {
		t.Helper()
		got, err := a.reload(t.Context())
		if got != (admin.Reloaded{Generation: generation, Changed: changed}) || (err == nil) != good {
			t.Errorf("got %+v and %v, want generation %d, changed: %v, good: %v", got, err, generation, changed, good)
		}
	}
	want(1, false, true)
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, certtest.NewCA("second").Cert))
	want(2, true, true)
	w.Write("ca.crt", []byte("nonsense"))
	want(2, false, false)
	if look := a.status().LastLook; look.Result != "refused" || len(look.Errors) == 0 {
		t.Errorf("got last look %+v", look)
	}
	w.Write("ca.crl", certtest.PEMEncodeCRL(w.Root.CRL(certtest.CRLOptions{Number: 2})))
	want(3, true, false) // the list counts, whatever the CAs are like
	if got := a.status().Trust.Refused; len(got) != 1 || got[0].Part != "cas" || filepath.Base(got[0].File) != "ca.crt" || got[0].Error == "" || got[0].Since.IsZero() {
		t.Errorf("got refused parts %+v, want the CAs", got)
	}
	for part, want := range map[string]float64{"server": 0, "cas": 1, "crl": 0} {
		if got := partRefused(t, a, part); got != want {
			t.Errorf("vernegate_trust_part_refused of %s: got %v, want %v", part, got, want)
		}
	}
	w.Write("ca.crt", w.Root.PEM())
	want(4, true, true)
	if got := partRefused(t, a, "cas"); got != 0 {
		t.Errorf("vernegate_trust_part_refused of cas: got %v, want 0", got)
	}
	if look := a.status().LastLook; look.Result != "swapped" || len(look.Errors) > 0 {
		t.Errorf("got last look %+v", look)
	}
}

// partRefused is the metric about a part, of which there is one.
func partRefused(t *testing.T, a *App, part string) float64 {
	t.Helper()
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "vernegate_trust_part_refused" && m.GetLabel()[1].GetValue() == part {
				return m.GetGauge().GetValue()
			}
		}
	}
	t.Fatalf("there is no vernegate_trust_part_refused of %s", part)
	return 0
}

func TestCertificateTerms(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		lived, left time.Duration
		severity    admin.Severity
		days        int
	}{
		{365 * day, 100 * day, admin.OK, 100},
		{365 * day, 14*day + time.Second, admin.OK, 14},
		{365 * day, 14*day - time.Second, admin.Warning, 13},
		{365 * day, 3*day - time.Second, admin.Critical, 2},
		{365 * day, -time.Second, admin.Critical, -1},
		{18 * time.Hour, 6 * time.Hour, admin.OK, 0}, // renewed daily
		{22 * time.Hour, 2 * time.Hour, admin.Warning, 0},
	} {
		cert := &x509.Certificate{SerialNumber: certtest.NewCA("x").Cert.SerialNumber, NotBefore: now.Add(-row.lived), NotAfter: now.Add(row.left)}
		got := certificateStatus(admin.KindServer, cert, now)
		if got.Severity != row.severity || got.DaysLeft != row.days {
			t.Errorf("%v after %v: got %s and %d days, want %s and %d", row.left, row.lived, got.Severity, got.DaysLeft, row.severity, row.days)
		}
	}
}

func TestStatusOfCertificateACL(t *testing.T) {
	t.Parallel()
	m := newIdentityMetrics(newRegistry(Build{}))
	if s := m.status(); s.HitRatio != nil || s.Failing() || !s.LastSuccess.IsZero() {
		t.Errorf("before the first request: got %+v", s)
	}
	for range 3 {
		m.answered(certacl.OutcomeHit)
	}
	m.answered(certacl.OutcomeMiss)
	m.note(&certacl.LookupError{Kind: certacl.KindTimeout, Err: errShuttingDown})
	s := m.status()
	if !s.Failing() || s.LastError != "timeout" || s.LastDetail != "did not answer in time" || s.HitRatio == nil || *s.HitRatio != 0.75 || s.Answers["hit"] != 3 {
		t.Errorf("after a failure: got %+v", s)
	}
	m.note(nil)
	m.note(&certacl.LookupError{Kind: certacl.KindCanceled, Err: errShuttingDown}) // says nothing
	if s := m.status(); s.Failing() || s.LastSuccess.IsZero() || s.LastError != "timeout" {
		t.Errorf("after an answer: got %+v", s)
	}
}

func TestStatusOfTheFileOfOwners(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	lamp, door := strings.Repeat("aa", 32), strings.Repeat("bb", 32)
	w.Vars["VERNEGATE_IDENTITY"] = "file"
	w.Vars["VERNEGATE_IDENTITY_FILE"] = w.Write("owners", []byte(lamp+" acme:lamp\n"+door+" acme:+\n"))
	a := newTestAppIn(t, w)
	f := a.status().IdentityFile
	if f.Path != w.Dir+"/owners" || f.Lines != 2 || f.Refused || f.Pending || time.Since(f.Loaded) > time.Hour || len(f.Notices) != 1 {
		t.Errorf("of a good file: got %+v", f)
	}
	w.Write("owners", bytes.Repeat([]byte("nonsense\n"), 100))
	if _, err := a.reload(t.Context()); err == nil {
		t.Error("it is reloaded")
	}
	f = a.status().IdentityFile
	if !f.Refused || f.RefusedSince.IsZero() || f.Lines != 2 || len(f.Errors) == 0 || len(f.Errors) > 21 || !strings.Contains(f.Errors[0], "line 1") {
		t.Errorf("of a bad file: got %+v", f)
	}
	if f := newTestAppIn(t, apptest.NewWorld(t)).status().IdentityFile; f != nil {
		t.Errorf("without a file: got %+v", f)
	}
}

// Every part that there is has a name for people, and is listed in the metric's help.
func TestEveryPartOfTheFilesHasAName(t *testing.T) {
	t.Parallel()
	parts := append(constants(t, "../../truststore/part.go", "Kind"), constants(t, "clientfiles.go", "part")...)
	if len(parts) < 8 {
		t.Fatalf("found only %q", parts)
	}
	help := newPartRefused().WithLabelValues("", "").Desc().String()
	for _, name := range parts {
		part := admin.Part{Part: name}
		if got := part.What(); got == name {
			t.Errorf("the status page calls %s by this word", name)
		}
		if !strings.Contains(help, name) {
			t.Errorf("the help of vernegate_trust_part_refused does not name %s", name)
		}
	}
}

// constants returns the values of a file's string constants whose names begin so.
func constants(t *testing.T, file, prefix string) (values []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, prefix) || len(spec.Values) != 1 {
			return true
		}
		if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
			value, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, value)
		}
		return true
	})
	return values
}
