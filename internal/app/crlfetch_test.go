// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/app/apptest"
	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestCheckTriesEachURL(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	good := w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 7}))
	stranger := w.Publish(certtest.NewCA("stranger").CRL(certtest.CRLOptions{}))
	page := w.Publish([]byte("<html>"))
	w.Vars["VERNEGATE_TLS_CRL"] = strings.Join([]string{good, stranger, page}, ",")
	w.Vars["VERNEGATE_STATE_DIR"] = t.TempDir()
	ok, report := check(t, w)
	if ok {
		t.Error("it succeeds")
	}
	wantLine(t, report, "ok", "CRL at "+good+" (configured) has")
	wantLine(t, report, "ok", `CRL of "CN=root" with 0 entries`)
	wantLine(t, report, "warning", "its issuer is no CA of the bundle")
	wantLine(t, report, "failed", "CRL at "+page+" (configured): CRL file "+page+": it holds no certificate revocation list")
}

func TestCheckTriesDistributionPointsOfCAs(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	list := w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 7}))
	u, err := url.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	plant := w.Root.Intermediate("plant", certtest.Template(func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{list, "http://elsewhere.example.org/", "ldap://" + u.Host + "/"}
	}))
	w.Write("ca.crt", certtest.CertsPEM(w.Root.Cert, plant.Cert))
	w.Vars["VERNEGATE_CRL_FROM_CDP"], w.Vars["VERNEGATE_CRL_HOSTS"] = "ca", u.Host
	_, report := check(t, w)
	wantLine(t, report, "ok", "CRL at "+list+" (ca) has")
	if strings.Contains(report, "elsewhere") || strings.Contains(report, "ldap") {
		t.Errorf("another URL is tried:\n%s", report)
	}
}

func TestAStateDirectoryThatCannotBeMadeIsNamed(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.Vars["VERNEGATE_TLS_CRL"] = w.Publish(w.Root.CRL(certtest.CRLOptions{}))
	w.Vars["VERNEGATE_STATE_DIR"] = w.Write("file", nil) + "/state"
	ok, report := check(t, w)
	if ok {
		t.Error("it succeeds")
	}
	wantLine(t, report, "failed", "VERNEGATE_STATE_DIR: ")
	err := New(mustLoad(t, w.Environ()...), testBuild, slog.New(slog.DiscardHandler), slog.New(slog.DiscardHandler)).Run(t.Context())
	if mistake, is := errors.AsType[*FilesError](err); !is || !strings.Contains(mistake.Error(), "VERNEGATE_STATE_DIR: ") {
		t.Errorf("serve: got %v", err)
	}
}

// A disk that is full or read-only keeps no vernegate from starting with the copies that are there.
func TestCopiesThatCanBeReadAreEnoughToStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, row := range []struct {
		dir  string
		err  error
		want bool
	}{
		{dir, &os.PathError{Op: "open", Path: dir, Err: syscall.EROFS}, true},
		{dir, syscall.ENOSPC, true},
		{dir, syscall.EACCES, false},
		{filepath.Join(dir, "absent"), syscall.EROFS, false},
	} {
		if got := canBeRead(row.dir, row.err); got != row.want {
			t.Errorf("%s, %v: got %t, want %t", row.dir, row.err, got, row.want)
		}
	}
}

// leafNoting returns a fetcher that follows distribution points of certificates that come
// by, at one server whose answers are none.
func leafNoting(t *testing.T) (l *listFetcher, host string) {
	t.Helper()
	w := apptest.NewWorld(t)
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	host = strings.TrimPrefix(server.URL, "http://")
	w.Vars["VERNEGATE_CRL_FROM_CDP"], w.Vars["VERNEGATE_CRL_HOSTS"] = "leaf", host
	l, err := newListFetcher(mustLoad(t, w.Environ()...), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	return l, host
}

func certNaming(urls ...string) []*x509.Certificate {
	return []*x509.Certificate{{CRLDistributionPoints: urls}}
}

func TestDistributionPointsThatComeByAreBounded(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	l.note(certNaming("http://elsewhere.example.org/a", "ftp://"+host+"/a", "http://user@"+host+"/a", "http://"+host+"/a\nb", "::", "http://"+host+"/"+strings.Repeat("a", maxURL)))
	if len(l.leafs) != 0 {
		t.Errorf("%v are followed", l.leafs)
	}
	var out bytes.Buffer
	l.log = slog.New(slog.NewTextHandler(&out, nil))
	for i := range 2 * maxPassedOver {
		l.note(certNaming(fmt.Sprintf("http://%s/%d", host, i), fmt.Sprintf("ftp://%s/%d", host, i)))
	}
	if n, passed := l.notedNow(), l.passedOver.Len(); len(l.leafs) != maxDiscovered || n != maxDiscovered || passed != maxPassedOver {
		t.Errorf("%d are followed, %d noted and %d passed over, want %d, as many and %d", len(l.leafs), n, passed, maxDiscovered, maxPassedOver)
	}
	if n := strings.Count(out.String(), "more distribution points than are followed"); n != 1 {
		t.Errorf("it was logged %d times, want once", n)
	}
}

// The bound is one of URLs, however many CAs name the same, and one message says that it is reached.
func TestCAsThatNameTheSameURLTakeOnePlace(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	var out bytes.Buffer
	l.log = slog.New(slog.NewTextHandler(&out, nil))
	var found []crlfetch.Source
	for range 2 * maxDiscovered {
		found = l.appendAllowed(found, "http://"+host+"/same", crlfetch.CA)
	}
	for i := range maxDiscovered - 1 {
		found = l.appendAllowed(found, fmt.Sprintf("http://%s/%d", host, i), crlfetch.CA)
	}
	if len(found) != maxDiscovered || out.Len() > 0 {
		t.Fatalf("%d are followed, want %d\n%s", len(found), maxDiscovered, &out)
	}
	for i := range 3 {
		found = l.appendAllowed(found, fmt.Sprintf("http://%s/more/%d", host, i), crlfetch.CA)
	}
	if n := strings.Count(out.String(), "more distribution points than are followed"); len(found) != maxDiscovered || n != 1 {
		t.Errorf("%d are followed, and it was logged %d times", len(found), n)
	}
}

// A certificate of thousands of URLs does not hold up others: the first ones are looked at.
func TestACertificateNamesFewDistributionPoints(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "ftp"} {
		l, host := leafNoting(t)
		var urls []string
		for i := range 8000 {
			urls = append(urls, fmt.Sprintf("%s://%s/%d", scheme, host, i))
		}
		l.note(certNaming(urls...))
		if n := l.notedNow() + l.passedOver.Len(); n != maxNamed {
			t.Errorf("%d URLs by %s are remembered, want %d", n, scheme, maxNamed)
		}
	}
}

// What may not be called is remembered while certificates name it, whatever else is named.
func TestURLsThatCertificatesNameAreNotJudgedAgain(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	for i := range 2 * maxPassedOver {
		l.note(certNaming("ldap://ca/", fmt.Sprintf("ftp://%s/%d", host, i)))
	}
	if !l.passedOver.Contains("ldap://ca/") {
		t.Error("the URL that all certificates name was forgotten")
	}
}

// notedNow counts the URLs that are followed and remembered.
func (l *listFetcher) notedNow() (n int) {
	for range l.noted.Range {
		n++
	}
	return n
}

// Certificates of one CA that name URLs without end take the places of no other CA, however its issuers are called.
func TestDistributionPointsOfOneCALeaveRoomForOthers(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	chainOf := func(ca string, i int) []*x509.Certificate {
		chain := certNaming(fmt.Sprintf("http://%s/%s/%d", host, ca, i))
		return append(chain, &x509.Certificate{RawSubject: fmt.Appendf(nil, "%s %d", ca, i)}, &x509.Certificate{RawSubject: []byte(ca)})
	}
	wants := func(when string, first, second int) {
		t.Helper()
		for ca, want := range map[string]int{"first": first, "second": second} {
			got := 0
			for _, s := range l.leafs {
				if strings.Contains(s.URL, "/"+ca+"/") {
					got++
				}
			}
			if got != want || l.notedNow() != len(l.leafs) {
				t.Errorf("%s: %d of the %s CA are followed, want %d; %d are noted", when, got, ca, want, l.notedNow())
			}
		}
	}
	for i := range 2 * maxDiscovered {
		l.note(chainOf("first", i))
	}
	wants("at first", maxDiscovered, 0)
	l.note(chainOf("second", 0))
	wants("with one of another CA", maxDiscovered-1, 1)
	for i := range 2 * maxDiscovered {
		l.note(chainOf("second", i))
		l.note(chainOf("first", i))
	}
	wants("when both name many", maxDiscovered/2, maxDiscovered/2)
	l.note(chainOf("third", 0))
	if !slices.ContainsFunc(l.leafs, func(s crlfetch.Source) bool { return strings.Contains(s.URL, "/third/") }) {
		t.Error("that of a third CA is not followed")
	}
}

// Whose certificates have named a URL before a restart is known again once one of them comes by.
func TestTheCAOfARememberedURLIsNotedAgain(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	const ca = "the CA"
	at := "http://" + host + "/a"
	s := l.remember(at)
	l.note(append(certNaming(at+"#fragment"), &x509.Certificate{RawSubject: []byte(ca)}))
	if got := s.caName(); got != ca || l.notedNow() != 1 {
		t.Errorf("it is that of %q, and %d are noted", got, l.notedNow())
	}
}

// TestFragmentsMakeNoOtherURL, as they are not sent.
func TestFragmentsMakeNoOtherURL(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	at := "http://" + host + "/a"
	var found []crlfetch.Source
	for i := range 3 {
		fragment := fmt.Sprintf("%s#%d", at, i)
		l.note(certNaming(fragment))
		found = l.appendAllowed(found, fragment, crlfetch.CA)
	}
	for _, got := range [][]crlfetch.Source{l.leafs, found} {
		if len(got) != 1 || got[0].URL != at || got[0].Name != at {
			t.Errorf("%v are followed, want %s", got, at)
		}
	}
}

// Certificates that name URLs without end do not keep the list of a later one from being fetched for good.
func TestDistributionPointsMakeRoom(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	url := func(i int) string { return fmt.Sprintf("http://%s/%d", host, i) }
	follows := func(i int) bool {
		return slices.ContainsFunc(l.leafs, func(s crlfetch.Source) bool { return s.URL == url(i) })
	}
	const late = 2 * maxDiscovered
	for i := range late {
		l.note(certNaming(url(i)))
	}
	if l.note(certNaming(url(late))); follows(late) || !follows(0) || !follows(1) {
		t.Errorf("a newcomer displaces what certificates name: %v", l.leafs)
	}
	for value := range l.noted.Range { // a long time passes
		s, _ := l.noted.Load(value)
		s.(*sighting).last.Add(-int64(2 * leafRest / time.Second))
	}
	l.note(certNaming(url(0)))
	if s, _ := l.noted.Load(url(1)); s != nil { // it was seen least recently
		s.(*sighting).last.Add(-1)
	}
	if l.note(certNaming(url(late))); !follows(late) || !follows(0) || follows(1) || !follows(2) || len(l.leafs) != maxDiscovered {
		t.Errorf("followed are %v", l.leafs)
	}
	if l.note(certNaming(url(1))); !follows(1) || !follows(late) || !follows(0) {
		t.Errorf("what made room does not come back: %v", l.leafs)
	}
}

// Handshakes note URLs at the same time as others make room.
func TestDistributionPointsAreNotedAtOnce(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	var handshakes sync.WaitGroup
	for g := range 4 {
		handshakes.Go(func() {
			for i := range 2 * maxPassedOver {
				l.note(certNaming(fmt.Sprintf("http://%s/%d", host, (i*(g+1))%100), fmt.Sprintf("ftp://%s/%d", host, i)))
			}
		})
	}
	handshakes.Wait()
	if n := l.notedNow(); n != len(l.leafs) || n != maxDiscovered || l.passedOver.Len() > maxPassedOver {
		t.Errorf("%d noted, %d followed, %d passed over", n, len(l.leafs), l.passedOver.Len())
	}
}

// TestDistributionPointsAreRememberedOverARestart where there is a state directory.
func TestDistributionPointsAreRememberedOverARestart(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	list := w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 7}))
	u, err := url.Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	w.Vars["VERNEGATE_CRL_FROM_CDP"], w.Vars["VERNEGATE_CRL_HOSTS"], w.Vars["VERNEGATE_STATE_DIR"] = "leaf", u.Host, t.TempDir()
	begin := func() *listFetcher {
		l, err := newListFetcher(mustLoad(t, w.Environ()...), nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.close)
		return l
	}
	first := begin()
	first.note(certNaming(list))
	first.fetcher.Follow(first.leafs)
	first.fetcher.FetchOnce(t.Context())
	if got := begin().remotes(); len(got) != 1 || got[0].Name != list || got[0].Needed {
		t.Errorf("after a restart %v are followed", got)
	}
	w.Vars["VERNEGATE_CRL_HOSTS"] = "crl.example.org"
	if got := begin().remotes(); len(got) != 0 {
		t.Errorf("%v are followed though their host is not allowed any more", got)
	}
}

// TestADamagedCopyIsFetchedBeforeTheStart, which waits for that list.
func TestADamagedCopyIsFetchedBeforeTheStart(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	w.Vars["VERNEGATE_TLS_CRL"], w.Vars["VERNEGATE_STATE_DIR"] = w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 7})), t.TempDir()
	cfg := mustLoad(t, w.Environ()...)
	for range 2 { // the second finds the copy of the first
		l, err := newListFetcher(cfg, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.close)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		l.fetcher.FetchOnce(ctx)
		cancel()
		trust := trustConfig(cfg, nil)
		trust.Remotes = l.remotes
		store, err := openTrust(t.Context(), cfg, trust)
		if err != nil {
			t.Fatal(err)
		}
		if got := store.Current().CRLs(); len(got) != 1 || len(store.Refusals()) != 0 {
			t.Errorf("in use are %v, and refused %v", got, store.Refusals())
		}
		if err := os.WriteFile(l.status()[0].File, make([]byte, 500), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// freshest is a FreshestCRL extension (RFC 5280 §4.2.1.15).
func freshest(urls ...string) pkix.Extension {
	var points []asn1.RawValue
	for _, u := range urls {
		n := byte(len(u))
		points = append(points, asn1.RawValue{FullBytes: append([]byte{0x30, n + 6, 0xa0, n + 4, 0xa0, n + 2, 0x86, n}, u...)})
	}
	value, err := asn1.Marshal(points)
	if err != nil {
		panic(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 46}, Value: value}
}

func TestCertificatesNameDeltas(t *testing.T) {
	t.Parallel()
	l, host := leafNoting(t)
	target := "http://" + host + "/delta.crl"
	cert := certtest.NewCA("root").Issue("lamp", certtest.Template(func(c *x509.Certificate) { c.ExtraExtensions = []pkix.Extension{freshest(target)} })).Leaf
	l.note([]*x509.Certificate{cert})
	if len(l.leafs) != 1 || l.leafs[0].URL != target {
		t.Errorf("%v are followed, want %s", l.leafs, target)
	}
}

func TestHostsThatAreNotAllowedAreToldOnce(t *testing.T) {
	t.Parallel()
	l, _ := leafNoting(t)
	var out bytes.Buffer
	l.log = slog.New(slog.NewTextHandler(&out, nil))
	for i := range 100 {
		l.note(certNaming("http://elsewhere.example.org/a.crl", fmt.Sprintf("http://host%d.example.org/", i), "ldap://x/"))
	}
	if n := strings.Count(out.String(), "elsewhere.example.org"); n != 1 {
		t.Errorf("it is told %d times", n)
	}
	if n := strings.Count(out.String(), "\n"); n != maxTellings {
		t.Errorf("%d lines, want %d", n, maxTellings)
	}
}

// BenchmarkNote is what each handshake pays.
func BenchmarkNote(b *testing.B) {
	l := &listFetcher{}
	l.cfg.CRLFromCDP = "leaf"
	chain := certNaming("http://crl.example.org/devices.crl")
	l.remember(chain[0].CRLDistributionPoints[0])
	b.ReportAllocs()
	for b.Loop() {
		l.note(chain)
	}
}

func TestStatusShowsWhereListsComeFrom(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	good, bad := w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 7})), w.Publish(nil)
	w.Vars["VERNEGATE_TLS_CRL"] = good + "," + strings.Replace(bad, "http://", "http://user:secret@", 1)
	a := New(mustLoad(t, w.Environ()...), testBuild, nil, nil)
	l, err := newListFetcher(a.cfg, nil, nil, a.fetches)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	a.lists.Store(l)
	store, err := openTrust(t.Context(), a.cfg, trustConfig(a.cfg, nil)) // without the lists
	if err != nil {
		t.Fatal(err)
	}
	l.open(store)
	l.fetcher.FetchOnce(t.Context())
	sources := a.status().CRLSources
	if len(sources) != 2 {
		t.Fatalf("got %+v, want two", sources)
	}
	if s := sources[0]; s.URL != good || s.Origin != string(crlfetch.Configured) || s.LastSuccess.IsZero() || s.NextUpdate.IsZero() || s.Severity != admin.OK {
		t.Errorf("the good one is %+v", s)
	}
	if s := sources[1]; strings.Contains(s.URL, "secret") || !strings.Contains(s.Error, "it is empty") || s.Severity != admin.Critical {
		t.Errorf("the bad one is %+v", s)
	}
	var names []string
	families, err := a.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if name := f.GetName(); strings.HasPrefix(name, "vernegate_crl_fetch") {
			names = append(names, name)
		}
	}
	if want := []string{"vernegate_crl_fetch_interval_seconds", "vernegate_crl_fetch_last_success_timestamp_seconds", "vernegate_crl_fetch_not_kept_total", "vernegate_crl_fetch_size_bytes", "vernegate_crl_fetches_total"}; !slices.Equal(names, want) {
		t.Errorf("metrics %q, want %q", names, want)
	}
}

// TestListsThatAreNotFollowedHaveNoSeries: their counters would stay for good, and say nothing.
func TestListsThatAreNotFollowedHaveNoSeries(t *testing.T) {
	t.Parallel()
	followed := []crlfetch.Status{{Source: crlfetch.Source{Name: "one"}}, {Source: crlfetch.Source{Name: "two"}}}
	r := prometheus.NewPedanticRegistry()
	m := newFetchMetrics(r, func() []crlfetch.Status { return followed }, time.Minute)
	series := func() (urls []string) {
		t.Helper()
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, metric := range f.GetMetric() {
				for _, label := range metric.GetLabel() {
					if label.GetName() == "url" && !slices.Contains(urls, label.GetValue()) {
						urls = append(urls, label.GetValue())
					}
				}
			}
		}
		return urls
	}
	m.observe("one", crlfetch.Replaced)
	m.observe("two", crlfetch.Failed)
	m.notKept("two")
	if got := series(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("series of %v", got)
	}
	followed = followed[:1]
	if got := series(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("when two is not followed any more: series of %v", got)
	}
	m.observe("two", crlfetch.Failed) // by a request that was under way
	if got := series(); !slices.Equal(got, []string{"one"}) {
		t.Errorf("after a late answer: series of %v", got)
	}
}

// TestStatusShowsWhatCannotBeKept has a directory for copies that is gone.
func TestStatusShowsWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	state := t.TempDir()
	w.Vars["VERNEGATE_TLS_CRL"], w.Vars["VERNEGATE_STATE_DIR"] = w.Publish(w.Root.CRL(certtest.CRLOptions{Number: 7})), state
	a := New(mustLoad(t, w.Environ()...), testBuild, nil, nil)
	l, err := newListFetcher(a.cfg, nil, nil, a.fetches)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	a.lists.Store(l)
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}
	l.fetcher.FetchOnce(t.Context())
	s := a.status().CRLSources[0]
	if s.LastSuccess.IsZero() || s.Error != "" || !strings.HasPrefix(s.NotKept, "writing to "+state) || s.Severity != admin.Warning {
		t.Errorf("got %+v", s)
	}
	if got := testutil.ToFloat64(a.fetches.unkept.WithLabelValues(s.URL)); got != 1 {
		t.Errorf("it is counted %v times", got)
	}
}

// TestCAsOfListServersAreReloaded has a server of lists with https change its CA while it is asked.
func TestCAsOfListServersAreReloaded(t *testing.T) {
	t.Parallel()
	w := apptest.NewWorld(t)
	list := w.Root.CRL(certtest.CRLOptions{Number: 7})
	var cert atomic.Pointer[tls.Certificate]
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Connection", "close") // each request shakes hands
		_, _ = rw.Write(list)
	}))
	server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{Certificates: []tls.Certificate{*cert.Load()}}, nil
	}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	issuedBy := func(ca *certtest.CA) {
		pair := ca.Issue("server", certtest.Server("127.0.0.1")).TLS()
		cert.Store(&pair)
	}
	one, two := certtest.NewCA("one"), certtest.NewCA("two")
	issuedBy(one)
	server.StartTLS()
	t.Cleanup(server.Close)

	w.Vars["VERNEGATE_TLS_CRL"], w.Vars["VERNEGATE_CRL_CA"] = server.URL, w.Write("list-ca.crt", one.PEM())
	cfg := mustLoad(t, w.Environ()...)
	files, err := openClientFiles(t.Context(), cfg, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := newListFetcher(cfg, files.listTLS, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	asks := func(when, want string) {
		t.Helper()
		l.fetcher.FetchOnce(t.Context())
		s := l.status()[0]
		if !s.Held || !strings.Contains(s.Err, want) || want == "" && s.Err != "" {
			t.Errorf("%s: got %q, want %q", when, s.Err, want)
		}
	}
	asks("with its CA", "")
	issuedBy(two)
	asks("when the server has changed its CA", "certificate signed by unknown authority")
	w.Write("list-ca.crt", []byte("half a"))
	if err := files.reload(); err == nil || len(files.refusals()) != 1 {
		t.Errorf("a broken file: got %v", err)
	}
	issuedBy(one)
	asks("with a broken file", "") // the last good one counts
	issuedBy(two)
	w.Write("list-ca.crt", two.PEM())
	if err := files.reload(); err != nil {
		t.Fatal(err)
	}
	asks("with its new CA", "")

	ok, report := check(t, w)
	if !ok {
		t.Errorf("check fails:\n%s", report)
	}
	wantLine(t, report, "ok", `CA for servers of CRLs "CN=two"`)
	wantLine(t, report, "ok", "CRL at "+server.URL+" (configured) has")
	w.Write("list-ca.crt", one.PEM())
	_, report = check(t, w)
	wantLine(t, report, "failed", "certificate signed by unknown authority")
	w.Write("list-ca.crt", []byte("half a"))
	_, report = check(t, w)
	wantLine(t, report, "failed", "VERNEGATE_CRL_CA: CA file ")
}

// TestAnIndirectListIsRefusedLoudly in the log, by check and on the status page, from a file and from a URL.
func TestAnIndirectListIsRefusedLoudly(t *testing.T) {
	t.Parallel()
	for _, from := range []string{"file", "URL"} {
		t.Run(from, func(t *testing.T) {
			t.Parallel()
			w := apptest.NewWorld(t)
			list := w.Root.CRL(certtest.CRLOptions{Extensions: []pkix.Extension{{
				Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{0x30, 3, 0x84, 1, 0xff}, // RFC 5280 §5.2.5: indirectCRL
			}}})
			w.Vars["VERNEGATE_TLS_CRL"] = w.Write("ca.crl", list)
			if from == "URL" {
				w.Vars["VERNEGATE_TLS_CRL"] = w.Publish(list)
			}
			const want = "it is an indirect CRL, which is not supported"
			ok, report := check(t, w)
			if ok {
				t.Error("check succeeds")
			}
			wantLine(t, report, "failed", want)

			var out bytes.Buffer
			log := slog.New(slog.NewTextHandler(&out, nil))
			a := newTestAppIn(t, w)
			l, err := newListFetcher(a.cfg, nil, log, nil)
			if err != nil {
				t.Fatal(err)
			}
			if l != nil {
				t.Cleanup(l.close)
				l.fetcher.FetchOnce(t.Context())
			}
			trust := trustConfig(a.cfg, log)
			trust.Remotes = l.remotes
			store, err := openTrust(t.Context(), a.cfg, trust)
			if err != nil {
				t.Fatal(err)
			}
			parts := *a.parts.Load()
			parts.store = store
			a.parts.Store(&parts)
			refused := a.status().Trust.Refused
			if len(refused) != 1 || !strings.Contains(refused[0].Error, want) {
				t.Errorf("the status has %+v", refused)
			}
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log is\n%s", out.String())
			}
		})
	}
}
