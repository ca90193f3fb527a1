// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/crlfetch"
	"github.com/vernegate/vernegate/internal/outbound"
)

// publisher is a CA's web server with one list.
type publisher struct {
	*httptest.Server

	mu     sync.Mutex
	body   string
	header http.Header
	status int // 0 is 200
	got    []http.Header
}

func publish(t *testing.T, body string) *publisher {
	t.Helper()
	p := &publisher{body: body, header: http.Header{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, r.Header.Clone())
	for name, values := range p.header {
		w.Header()[name] = values
	}
	etag := p.header.Get("ETag")
	switch {
	case p.status != 0:
		w.WriteHeader(p.status)
	case etag != "" && r.Header.Get("If-None-Match") == etag,
		etag == "" && p.header.Get("Last-Modified") != "" && r.Header.Get("If-Modified-Since") == p.header.Get("Last-Modified"):
		w.WriteHeader(http.StatusNotModified)
	default:
		_, _ = w.Write([]byte(p.body))
	}
}

// change makes the server answer with something else from now on.
func (p *publisher) change(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

func (p *publisher) requests() []http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func (p *publisher) source() crlfetch.Source {
	return crlfetch.Source{URL: p.URL + "/ca.crl", Name: p.URL + "/ca.crl", Origin: crlfetch.Configured}
}

var errBad = errors.New("it is bad")

// follower is a Fetcher that takes whatever does not begin with "bad", and what is behind "bad but ".
type follower struct {
	*crlfetch.Fetcher
	t       *testing.T
	results []crlfetch.Result
	unkept  int // requests after which something could not be written
	log     bytes.Buffer
	due     time.Time // of each list
	early   bool      // there is nothing yet to compare lists with
	refused bool      // a part of each list
}

func follow(t *testing.T, dir string, sources ...crlfetch.Source) *follower {
	t.Helper()
	f := &follower{t: t}
	var allowed outbound.Hosts
	for _, s := range sources {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		allowed = allowed.With(u)
	}
	client := outbound.NewClient(outbound.Config{Hosts: allowed})
	t.Cleanup(client.CloseIdleConnections)
	var mu sync.Mutex
	f.Fetcher = crlfetch.New(crlfetch.Config{
		Client: client, Dir: dir, Refresh: time.Minute, MaxSize: 1000,
		Try: func(_ context.Context, d crlfetch.Download) (crlfetch.Verdict, error) {
			data, err := d.Data, error(nil)
			if d.File != "" {
				data, err = os.ReadFile(d.File)
			}
			if strings.HasPrefix(string(data), "bad") {
				err = errBad
			}
			if part, found := strings.CutPrefix(string(data), "bad but "); found && d.Instead != nil {
				_, _ = io.WriteString(d.Instead, part)
			}
			return crlfetch.Verdict{Compared: !f.early, Due: f.due}, err
		},
		Refused: func(string) bool { return f.refused },
		OnResult: func(_ string, r crlfetch.Result) {
			mu.Lock()
			defer mu.Unlock()
			f.results = append(f.results, r)
		},
		OnNotKept: func(string) {
			mu.Lock()
			defer mu.Unlock()
			f.unkept++
		},
		Logger: slog.New(slog.NewTextHandler(&f.log, nil)),
	})
	f.Follow(sources)
	return f
}

// once asks all servers and returns what came of it.
func (f *follower) once() []crlfetch.Result {
	f.t.Helper()
	f.results = nil
	f.FetchOnce(f.t.Context())
	return f.results
}

func (f *follower) wants(result crlfetch.Result, body string) {
	f.t.Helper()
	if got := f.once(); len(got) != 1 || got[0] != result {
		f.t.Errorf("got %v (%s), want %v", got, f.Status()[0].Err, result)
	}
	if got, _ := os.ReadFile(f.Status()[0].File); string(got) != body {
		f.t.Errorf("the copy is %q, want %q", got, body)
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(f.Status()[0].File), "*.tmp"))
	if len(left) > 0 {
		f.t.Errorf("files are left: %v", left)
	}
}

func TestACopyFollowsItsServer(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	f := follow(t, t.TempDir(), p.source())
	f.wants(crlfetch.Replaced, "one")
	f.wants(crlfetch.Unchanged, "one")
	p.change(func() { p.body = "two" })
	f.wants(crlfetch.Replaced, "two")
	if s := f.Status()[0]; !s.Held || s.Size != 3 || s.Changed.IsZero() || s.LastSuccess.Before(s.Changed) || s.Err != "" {
		t.Errorf("got %+v", s)
	}
}

func TestServersAreAskedForChangesOnly(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]http.Header{
		"by ETag":          {"Etag": {`"v1"`}},
		"by Last-Modified": {"Last-Modified": {"Mon, 02 Jan 2006 15:04:05 GMT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "one")
			p.header = header
			dir := t.TempDir()
			f := follow(t, dir, p.source())
			f.wants(crlfetch.Replaced, "one")
			f.wants(crlfetch.Unchanged, "one")
			again := follow(t, dir, p.source()) // after a restart, too
			again.wants(crlfetch.Unchanged, "one")
			for i, h := range p.requests() {
				conditional := h.Get("If-None-Match") == header.Get("ETag") && h.Get("If-Modified-Since") == header.Get("Last-Modified")
				if conditional != (i > 0) {
					t.Errorf("request %d: conditional %v", i, conditional)
				}
			}
			p.change(func() { p.body, p.header = "two", http.Header{"Etag": {`"v2"`}} })
			again.wants(crlfetch.Replaced, "two")
		})
	}
}

// TestAListThatIsOverdueIsAskedForWithoutConditions: its server may give a new list the old ETag, as one does that makes
// it of the file's name or of a clock that stands still.
func TestAListThatIsOverdueIsAskedForWithoutConditions(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header = http.Header{"Etag": {`"always"`}}
	dir := t.TempDir()
	f := follow(t, dir, p.source())
	f.due = time.Now().Add(time.Hour)
	f.wants(crlfetch.Replaced, "one")
	p.change(func() { p.body = "two" })
	f.wants(crlfetch.Unchanged, "one") // as the server says
	late := follow(t, t.TempDir(), p.source())
	late.due = time.Now().Add(-time.Second)
	late.wants(crlfetch.Replaced, "two")
	late.wants(crlfetch.Unchanged, "two")
	p.change(func() { p.body = "three" })
	late.due = time.Now().Add(time.Hour)
	late.wants(crlfetch.Replaced, "three")
	late.wants(crlfetch.Unchanged, "three")
	requests := p.requests()
	for i, conditional := range []bool{false, true, false, false, false, true} {
		if got := requests[i].Get("If-None-Match") != ""; got != conditional {
			t.Errorf("request %d: conditional %v, want %v", i, got, conditional)
		}
	}
}

// wantConditional checks which of the requests so far were for what is newer than the copy only.
func (p *publisher) wantConditional(t *testing.T, want ...bool) {
	t.Helper()
	var got []bool
	for _, h := range p.requests() {
		got = append(got, h.Get("If-None-Match") != "" || h.Get("If-Modified-Since") != "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("the requests were conditional: %v, want %v", got, want)
	}
}

// TestAListThatWasNotComparedIsAskedForWithoutConditions, also after a restart: it may be a forged one with the ETag of the
// server's.
func TestAListThatWasNotComparedIsAskedForWithoutConditions(t *testing.T) {
	t.Parallel()
	p := publish(t, "forged")
	p.header.Set("ETag", `"1"`)
	dir := t.TempDir()
	f := follow(t, dir, p.source())
	f.early, f.due = true, time.Now().AddDate(20, 0, 0)
	f.wants(crlfetch.Replaced, "forged")
	if s := f.Status()[0]; !s.Due.IsZero() {
		t.Errorf("it is due %v", s.Due)
	}
	again := follow(t, dir, p.source())
	again.early = true
	again.wants(crlfetch.Unchanged, "forged")
	p.change(func() { p.body = "one" })
	again.early = false
	again.wants(crlfetch.Replaced, "one")
	again.wants(crlfetch.Unchanged, "one")
	p.wantConditional(t, false, false, false, true)
}

// A copy that could not be compared when it came is good once it can be, and was not replaced then.
func TestTheSameListIsComparedWhenItComesAgain(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header.Set("ETag", `"1"`)
	f := follow(t, t.TempDir(), p.source())
	f.early = true
	f.wants(crlfetch.Replaced, "one")
	before := f.Status()[0]
	f.early, f.due = false, time.Now().Add(time.Hour)
	p.change(func() { p.header.Set("ETag", `"2"`) })
	f.wants(crlfetch.Unchanged, "one")
	if s := f.Status()[0]; !s.Changed.Equal(before.Changed) || !s.Due.Equal(f.due) {
		t.Errorf("got %+v, want it unchanged since %v and due %v", s, before.Changed, f.due)
	}
	f.wants(crlfetch.Unchanged, "one")
	p.wantConditional(t, false, false, true)
	if got := p.requests()[2].Get("If-None-Match"); got != `"1"` {
		t.Errorf("it was asked for what is newer than %s, want the ETag that it came with first", got)
	}
}

// TestACopyOfAnEarlierVersionIsAskedForWithoutConditions: its note does not say whether it was compared.
func TestACopyOfAnEarlierVersionIsAskedForWithoutConditions(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header.Set("ETag", `"1"`)
	dir := t.TempDir()
	follow(t, dir, p.source()).wants(crlfetch.Replaced, "one")
	notes, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	var note map[string]any
	text, err := os.ReadFile(notes[0])
	if err == nil {
		err = json.Unmarshal(text, &note)
	}
	if err != nil {
		t.Fatal(err)
	}
	delete(note, "fetched")
	if text, err = json.Marshal(note); err == nil {
		err = os.WriteFile(notes[0], text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	f := follow(t, dir, p.source())
	f.wants(crlfetch.Unchanged, "one")
	f.wants(crlfetch.Unchanged, "one")
	p.wantConditional(t, false, false, true)
}

// TestAListThatIsSentAgainKeepsItsETag: the one that comes with it may be that of the next list, which would never be sent then.
func TestAListThatIsSentAgainKeepsItsETag(t *testing.T) {
	t.Parallel()
	p := publish(t, "five")
	p.header.Set("ETag", `"5"`)
	f := follow(t, t.TempDir(), p.source())
	f.wants(crlfetch.Replaced, "five")
	p.change(func() { p.header.Set("ETag", `"6"`) })
	f.wants(crlfetch.Unchanged, "five")
	p.change(func() { p.body = "six" })
	f.wants(crlfetch.Replaced, "six")
	f.wants(crlfetch.Unchanged, "six")
	p.wantConditional(t, false, true, true, true)
}

func TestAListOfWhichAPartIsRefusedIsAskedForWithoutConditions(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header.Set("ETag", `"1"`)
	f := follow(t, t.TempDir(), p.source())
	f.wants(crlfetch.Replaced, "one")
	f.refused = true
	f.wants(crlfetch.Unchanged, "one")
	f.refused = false
	f.wants(crlfetch.Unchanged, "one")
	p.wantConditional(t, false, false, true)
}

func TestWhatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		change func(p *publisher)
		want   string
	}{
		"error":                 {func(p *publisher) { p.status = 503 }, "503 Service Unavailable"},
		"not found":             {func(p *publisher) { p.status = 404 }, "404 Not Found"},
		"no content":            {func(p *publisher) { p.status = 204 }, "204 No Content"},
		"a list that is bad":    {func(p *publisher) { p.body = "bad" }, errBad.Error()},
		"one that is too large": {func(p *publisher) { p.body = strings.Repeat("x", 1001) }, "too large"},
		"one that is cut":       {func(p *publisher) { p.header.Set("Content-Length", "900") }, "unexpected EOF"},
		"one that is gzipped":   {func(p *publisher) { p.header.Set("Content-Encoding", "gzip") }, `the Content-Encoding "gzip", which was not asked for`},
		"unchanged, unasked":    {func(p *publisher) { p.status = 304 }, "was not asked that"},
		"redirect elsewhere": {func(p *publisher) {
			p.status = 302
			p.header.Set("Location", "http://169.254.169.254/latest/meta-data/")
		}, outbound.ErrRedirect.Error()},
		"away": {func(p *publisher) { go p.Close() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := publish(t, "good")
			dir := t.TempDir()
			f := follow(t, dir, p.source())
			f.wants(crlfetch.Replaced, "good")
			before := f.Status()[0]
			p.change(func() { p.body = "newer"; row.change(p) })
			if name == "away" {
				p.Close()
			}
			f.wants(crlfetch.Failed, "good")
			s := f.Status()[0]
			if !strings.Contains(s.Err, row.want) || s.Err == "" || s.FailingSince.IsZero() || !s.LastSuccess.Equal(before.LastSuccess) {
				t.Errorf("got %+v, want the error to say %q", s, row.want)
			}
			restarted := follow(t, dir, p.source())
			restarted.wants(crlfetch.Failed, "good")
			if s := restarted.Status()[0]; !s.Held || !s.LastSuccess.Equal(before.LastSuccess) {
				t.Errorf("after a restart: %+v, want the copy of before", s)
			}
		})
	}
}

func TestAServerThatAnswersAgainIsBelieved(t *testing.T) {
	t.Parallel()
	p := publish(t, "bad")
	f := follow(t, t.TempDir(), p.source())
	f.wants(crlfetch.Failed, "")
	p.change(func() { p.body = "good" })
	f.wants(crlfetch.Replaced, "good")
	if s := f.Status()[0]; s.Err != "" || !s.FailingSince.IsZero() {
		t.Errorf("got %+v", s)
	}
}

func TestACopyWithoutItsNoteIsGood(t *testing.T) {
	t.Parallel()
	p := publish(t, "one")
	p.header = http.Header{"Etag": {`"v1"`}}
	dir := t.TempDir()
	f := follow(t, dir, p.source())
	f.wants(crlfetch.Replaced, "one")
	notes, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, text := range []string{"", "{", `{"size": 99, "etag": "\"v1\""}`} {
		if err := os.WriteFile(notes[0], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		again := follow(t, dir, p.source())
		if !again.Status()[0].Held {
			t.Fatal("the copy is lost")
		}
		again.wants(crlfetch.Replaced, "one") // as it cannot be told what the server said about it
	}
}

func TestCopiesGoWithTheirSources(t *testing.T) {
	t.Parallel()
	p, q := publish(t, "one"), publish(t, "two")
	dir := t.TempDir()
	leaf := q.source()
	leaf.Origin = crlfetch.Leaf
	f := follow(t, dir, p.source(), leaf, leaf)
	if got := f.once(); len(got) != 2 {
		t.Fatalf("got %v, want each source once", got)
	}
	if got := f.Known(crlfetch.Leaf, 10); !slices.Equal(got, []string{leaf.Name}) {
		t.Errorf("known are %q, want %q", got, leaf.Name)
	}
	if got := f.Known(crlfetch.Leaf, 0); len(got) != 0 {
		t.Errorf("known are %q, want none", got)
	}
	f.Follow([]crlfetch.Source{p.source()})
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%v are left, want the list and the note of one source", left)
	}
}

func TestUnfinishedFilesOfOthersAreSwept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	old, young := filepath.Join(dir, "crl-1.tmp"), filepath.Join(dir, "crl-2.tmp")
	for _, path := range []string{old, young} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	follow(t, dir)
	if left, _ := os.ReadDir(dir); len(left) != 1 || left[0].Name() != "crl-2.tmp" {
		t.Errorf("%v are left", left)
	}
}

// A download that cannot be judged yet, as what is in use is not known, must not keep another list from being the first.
func TestOneThatIsJudgedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	judging := make(chan struct{}) // the one at /waits
	judged := make(chan struct{})  // the other one
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/waits" {
			<-judging
		}
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	t.Cleanup(server.Close)
	waits := crlfetch.Source{URL: server.URL + "/waits", Name: "waits"}
	other := crlfetch.Source{URL: server.URL + "/other", Name: "other"}
	f := crlfetch.New(crlfetch.Config{
		Client: server.Client(), Dir: t.TempDir(), Refresh: time.Minute, MaxSize: 1000,
		Try: func(ctx context.Context, d crlfetch.Download) (v crlfetch.Verdict, err error) {
			if d.Name == other.Name {
				close(judged)
				return v, nil
			}
			close(judging)
			select {
			case <-judged:
			case <-ctx.Done():
				err = ctx.Err()
			}
			return v, err
		},
	})
	f.Follow([]crlfetch.Source{waits, other})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	f.FetchOnce(ctx)
	for _, s := range f.Status() {
		if !s.Held {
			t.Errorf("%s did not come: %s", s.Name, s.Err)
		}
	}
}

// TestEverythingAtOnce follows, fetches and looks from many goroutines while the fetcher
// runs, for the race detector.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	p, q := publish(t, "one"), publish(t, "two")
	dir := t.TempDir()
	f := follow(t, dir, p.source(), q.source())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { f.Run(ctx); close(ended) }()
	var busy sync.WaitGroup
	for i := range 4 {
		busy.Go(func() {
			for n := range 50 {
				switch (i + n) % 4 {
				case 0:
					f.Follow([]crlfetch.Source{p.source()})
				case 1:
					f.Follow([]crlfetch.Source{q.source(), p.source()})
				case 2:
					f.FetchNow()
				default:
					f.Status()
				}
			}
		})
	}
	busy.Wait()
	f.Follow([]crlfetch.Source{p.source()})
	for len(f.Status()) != 1 || !f.Status()[0].Held {
		select {
		case <-t.Context().Done():
			t.Fatal("the list does not come")
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	<-ended
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("%v are left, want the list and the note of one source", left)
	}
}
