// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	xocsp "golang.org/x/crypto/ocsp"

	"github.com/vernegate/vernegate/internal/ocsp"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// good is a response about the device of testPKI.
func good() []byte {
	return testPKI().ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: testPKI().device.Leaf.SerialNumber})
}

// Small requests are made with GET, so that caches on the way can answer, and the rest with POST (RFC 6960 §A.1).
func TestRequestsCanBeAnsweredByCaches(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	responder := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		requests <- r
		_, _ = w.Write(good())
	}))
	long := strings.Repeat("x", 200)
	for name, row := range map[string]struct{ path, method, target string }{
		"short":               {"", http.MethodGet, "/"},
		"with a slash":        {"/", http.MethodGet, "/"},
		"below a path":        {"/ocsp/ca", http.MethodGet, "/ocsp/ca/"},
		"long":                {"/" + long, http.MethodPost, "/" + long},
		"with a query string": {"/ocsp?ca=1", http.MethodPost, "/ocsp?ca=1"},
	} {
		client := newClient(t, parseURL(t, responder.String()+row.path))
		if _, err := client.Ask(t.Context(), lamp(), true); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		r := <-requests
		der, _ := io.ReadAll(r.Body)
		encoded, isBelow := strings.CutPrefix(r.RequestURI, row.target)
		if row.method == http.MethodGet {
			if strings.ContainsAny(encoded, "+/=") {
				t.Errorf("%s: %q is not escaped", name, encoded)
			}
			text, _ := url.QueryUnescape(encoded)
			der, _ = base64.StdEncoding.DecodeString(text)
		} else if r.Header.Get("Content-Type") != "application/ocsp-request" {
			t.Errorf("%s: got Content-Type %q", name, r.Header.Get("Content-Type"))
		}
		req, err := xocsp.ParseRequest(der)
		if r.Method != row.method || !isBelow || err != nil || req.SerialNumber.Cmp(testPKI().device.Leaf.SerialNumber) != 0 {
			t.Errorf("%s: got %s %s with %v, %v", name, r.Method, r.RequestURI, req, err)
		}
	}
}

func TestCertificatesNameAllowedRespondersAlone(t *testing.T) {
	t.Parallel()
	ca := testPKI().ca
	var asked atomic.Int32
	responder := serve(t, certtest.OCSPFunc(func(serial *big.Int) []byte {
		asked.Add(1)
		return ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: serial})
	}))
	trap := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("called with %s", r.URL) }))
	client := newClient(t, nil)
	client.Allows = func(u *url.URL) bool { return u.Host == responder.Host }
	for name, row := range map[string]struct {
		named []string
		kind  ocsp.Kind
	}{
		"an allowed one":        {[]string{responder.String()}, ""},
		"the first allowed one": {[]string{"ldap://ca/", "http://[", trap.String(), responder.String()}, ""},
		"one that is not":       {[]string{trap.String()}, ocsp.KindNoResponder},
		"none":                  {nil, ocsp.KindNoResponder},
	} {
		before := asked.Load()
		_, err := client.Ask(t.Context(), about(ca.Issue("acme:door", certtest.OCSPServer(row.named...)), ca), true)
		if row.kind == "" {
			if err != nil || asked.Load() != before+1 {
				t.Errorf("%s: got %v", name, err)
			}
			continue
		}
		wantKind(t, err, row.kind)
	}
	thousands := slices.Repeat([]string{trap.String()}, 10_000)
	_, err := client.Ask(t.Context(), naming(thousands...), true)
	wantKind(t, err, ocsp.KindNoResponder)
	if e, ok := errors.AsType[*ocsp.Error](err); !ok || len(e.Err.Error()) > 200 {
		t.Errorf("the reason is %.300v, want a bounded one", err)
	}
	client.Allows = nil
	_, err = client.Ask(t.Context(), about(ca.Issue("acme:door", certtest.OCSPServer(responder.String())), ca), true)
	wantKind(t, err, ocsp.KindNoResponder)
}

// A certificate may name several responders. When one has no answer that counts, the next one is asked, within the same time.
func TestTheNextResponderIsAsked(t *testing.T) {
	t.Parallel()
	answers := map[string]func() []byte{
		"good":         good, // at the time of the bubble
		"unauthorized": func() []byte { return xocsp.UnauthorizedErrorResponse },
		"html":         func() []byte { return []byte("<html>") },
	}
	for name, row := range map[string]struct {
		named string // the hosts, separated by spaces
		kind  ocsp.Kind
		asked string
		took  time.Duration
	}{
		"the first answers":         {"good html", "", "good", 0},
		"the first is dead":         {"dead good", "", "dead good", 3 * time.Second},
		"two are dead":              {"dead slow good", "", "dead slow good", 4 * time.Second},
		"the first lies":            {"html good", "", "html good", 0},
		"the first does not answer": {"unauthorized good", "", "unauthorized good", 0},
		"all are dead":              {"dead slow silent", ocsp.KindTimeout, "dead slow silent", 6 * time.Second},
		"the last one's fault":      {"dead html", ocsp.KindMalformed, "dead html", 3 * time.Second},
		"three at most":             {"html html2 html3 good", ocsp.KindMalformed, "html html2 html3", 0},
		"each once":                 {"html html html good", "", "html good", 0},
		"one of the first 32":       {strings.Repeat("html ", 31) + "good", "", "html good", 0},
		"one behind them":           {strings.Repeat("html ", 32) + "good", ocsp.KindMalformed, "html", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var asked, failed []string
				client := &ocsp.Client{
					Timeout: 6 * time.Second, Allows: func(*url.URL) bool { return true },
					HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
						asked = append(asked, r.URL.Host)
						if answer := answers[strings.TrimRight(r.URL.Host, "123")]; answer != nil {
							return respond(answer())
						}
						return hang(r)
					})},
					Observe: func(q ocsp.Question) {
						if q.Next {
							failed = append(failed, q.Responder)
						}
					},
				}
				var named []string
				for host := range strings.FieldsSeq(row.named) {
					named = append(named, "http://"+host)
				}
				began := time.Now()
				answer, err := client.Ask(t.Context(), naming(named...), true)
				if ocsp.KindOf(err) != row.kind || (answer.Status == ocsp.Good) != (row.kind == "") {
					t.Errorf("got %v, %v", answer.Status, err)
				}
				if took := time.Since(began); took != row.took || strings.Join(asked, " ") != row.asked {
					t.Errorf("asked %q within %v, want %q within %v", asked, took, row.asked, row.took)
				}
				if len(failed) != len(asked)-1 {
					t.Errorf("asked %q, and observed the next after %q", asked, failed)
				}
			})
		})
	}
}

// A question that is given up is not asked of the next responder.
func TestACanceledQuestionGoesNoFurther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		client := &ocsp.Client{
			Allows: func(*url.URL) bool { return true },
			HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				return hang(r)
			})},
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		_, err := client.Ask(ctx, naming("http://one", "http://two"), true)
		if wantKind(t, err, ocsp.KindCanceled); asked.Load() != 1 {
			t.Errorf("asked %d responders", asked.Load())
		}
	})
}

// Reading what a stranger sends may show a mistake in this program. It costs that question, and a responder that goes on like
// this is left alone.
func TestAPanicEndsTheQuestionAlone(t *testing.T) {
	t.Parallel()
	signer := testPKI().ca.Issue("responder", certtest.OCSPSigning(false))
	response := testPKI().ca.OCSP(certtest.OCSPOptions{Signer: signer}, certtest.OCSPAnswer{Serial: lamp().Leaf.SerialNumber})
	client := newClient(t, serve(t, answering(response)))
	client.CheckSigner = func(*x509.Certificate, *x509.Certificate) error {
		var none []int
		return fmt.Errorf("%d", none[0])
	}
	for range 3 {
		_, err := client.Ask(t.Context(), lamp(), true)
		wantKind(t, err, ocsp.KindPanic)
		p, ok := errors.AsType[*ocsp.PanicError](err)
		if !ok || !strings.Contains(string(p.Stack), "client_test.go") || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want an error that knows where", err)
		}
	}
	_, err := client.Ask(t.Context(), lamp(), true)
	wantKind(t, err, ocsp.KindBackOff)
}

// With a nonce, an answer that was made for somebody else does not count, be it ever so good (RFC 9654).
func TestNonces(t *testing.T) {
	t.Parallel()
	say := func(nonce []byte) []byte {
		opts := certtest.OCSPOptions{}
		if nonce != nil {
			opts.Extensions = []pkix.Extension{certtest.OCSPNonce(nonce)}
		}
		return testPKI().ca.OCSP(opts, certtest.OCSPAnswer{Serial: lamp().Leaf.SerialNumber})
	}
	var last []byte
	for _, row := range []struct {
		name string
		make func(nonce []byte) []byte
		kind ocsp.Kind
	}{
		{"it comes back", say, ""},
		{"it comes back, and is different each time", say, ""},
		{"it does not come back", func([]byte) []byte { return say(nil) }, ocsp.KindNonce},
		{"that of another request", func([]byte) []byte { return say(make([]byte, 32)) }, ocsp.KindNonce},
		{"half of it", func(nonce []byte) []byte { return say(nonce[:16]) }, ocsp.KindNonce},
	} {
		client := newClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if _, err := xocsp.ParseRequest(body); err != nil || r.Method != http.MethodPost {
				t.Errorf("%s: got a %s that is no request: %v", row.name, r.Method, err)
			}
			nonce := certtest.NonceOf(body)
			if len(nonce) != 32 || bytes.Equal(nonce, last) {
				t.Errorf("%s: got the nonce %x after %x", row.name, nonce, last)
			}
			last = nonce
			_, _ = w.Write(row.make(nonce))
		})))
		client.Nonce = true
		answer, err := client.Ask(t.Context(), lamp(), true)
		if ocsp.KindOf(err) != row.kind || (err == nil) != (answer.Status == ocsp.Good) {
			t.Errorf("%s: got %v, %v", row.name, answer.Status, err)
		}
	}
}

// What the operator names is asked about all certificates, and needs no permission.
func TestTheConfiguredResponderIsAskedFirst(t *testing.T) {
	t.Parallel()
	ca := testPKI().ca
	trap := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("called with %s", r.URL) }))
	responder := serve(t, certtest.OCSPFunc(func(serial *big.Int) []byte {
		return ca.OCSP(certtest.OCSPOptions{}, certtest.OCSPAnswer{Serial: serial, Status: certtest.OCSPRevoked})
	}))
	got, err := newClient(t, responder).Ask(t.Context(), about(ca.Issue("acme:door", certtest.OCSPServer(trap.String())), ca), true)
	if err != nil || got.Status != ocsp.Revoked {
		t.Errorf("got %v, %v", got.Status, err)
	}
}

func TestWhatIsNoAnswerIsToldApart(t *testing.T) {
	t.Parallel()
	status := func(code int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
	}
	closed := serve(t, nil)
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = refused.Close()
	for name, row := range map[string]struct {
		responder *url.URL
		kind      ocsp.Kind
	}{
		"nobody listens": {parseURL(t, "http://"+refused.Addr().String()), ocsp.KindConnection},
		"not TLS":        {parseURL(t, "https://"+closed.Host), ocsp.KindConnection},
		"not found":      {serve(t, status(http.StatusNotFound)), ocsp.KindHTTP},
		"broken":         {serve(t, status(http.StatusInternalServerError)), ocsp.KindHTTP},
		"it hangs up": {serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		})), ocsp.KindConnection},
		"it hangs up in the middle": {serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(good()[:100])
		})), ocsp.KindConnection},
	} {
		_, err := newClient(t, row.responder).Ask(t.Context(), lamp(), true)
		if t.Run(name, func(t *testing.T) { wantKind(t, err, row.kind) }); !strings.Contains(fmt.Sprint(err), row.responder.Host) {
			t.Errorf("%s: %v does not name the responder", name, err)
		}
	}
}

// A responder that does not answer, or drips its answer, costs the timeout.
func TestQuestionsEndInTime(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]http.HandlerFunc{
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"drips": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = w.Write([]byte{0x30})
				_ = http.NewResponseController(w).Flush()
				select {
				case <-time.After(time.Millisecond):
				case <-r.Context().Done():
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newClient(t, serve(t, handler))
			client.Timeout = 50 * time.Millisecond
			_, err := client.Ask(t.Context(), lamp(), true)
			wantKind(t, err, ocsp.KindTimeout)
		})
	}
}

// A transport is a responder without a network: for tests in which time is not real.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hang waits until the question is given up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func respond(body []byte) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(body)))}, nil
}

// While a responder is left alone, nobody waits for it; it is tried again by one question at a time, ever more rarely, and
// the first answer ends that.
func TestADeadResponderIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		var works atomic.Bool
		client := &ocsp.Client{
			URL: parseURL(t, "http://ocsp.test"), Timeout: time.Second,
			HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				asked.Add(1)
				if works.Load() {
					return respond(xocsp.UnauthorizedErrorResponse) // which is an answer, if not one that counts
				}
				return hang(r)
			})},
		}
		ask := func(want ocsp.Kind) time.Duration {
			t.Helper()
			began := time.Now()
			_, err := client.Ask(t.Context(), lamp(), true)
			wantKind(t, err, want)
			return time.Since(began)
		}
		for range 3 {
			if took := ask(ocsp.KindTimeout); took != time.Second {
				t.Errorf("took %v", took)
			}
		}
		for range 100 {
			if took := ask(ocsp.KindBackOff); took != 0 {
				t.Errorf("took %v", took)
			}
		}
		for range 600 { // for ten minutes
			time.Sleep(time.Second)
			if _, err := client.Ask(t.Context(), lamp(), true); ocsp.KindOf(err) != ocsp.KindBackOff {
				wantKind(t, err, ocsp.KindTimeout)
			}
		}
		if n := asked.Load(); n < 40 || n > 90 {
			t.Errorf("asked %d times in ten minutes, want about every 10 s", n)
		}
		works.Store(true)
		time.Sleep(12 * time.Second)
		for range 5 {
			ask(ocsp.KindRefused)
		}
	})
}

// A thousand devices whose status is not known come at once, and the responder is dead: each waits for the timeout at
// most, few requests are made, and a second responder answers as ever.
func TestADeadResponderSlowsNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		client := &ocsp.Client{
			Timeout: time.Second, Allows: func(*url.URL) bool { return true },
			HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "alive.test" {
					return respond(good())
				}
				asked.Add(1)
				return hang(r)
			})},
		}
		began := time.Now()
		var waiting sync.WaitGroup
		for range 1000 {
			waiting.Go(func() {
				if _, err := client.Ask(t.Context(), naming("http://dead.test"), true); err == nil {
					t.Error("answered")
				}
			})
		}
		synctest.Wait()
		if _, err := client.Ask(t.Context(), naming("http://alive.test"), true); err != nil || time.Since(began) != 0 {
			t.Errorf("the other responder: %v after %v", err, time.Since(began))
		}
		waiting.Wait()
		if took := time.Since(began); took > time.Second || asked.Load() > ocsp.DefaultMaxInFlight+2 { // two more until the third has failed
			t.Errorf("they waited for %v and made %d requests", took, asked.Load())
		}
	})
}

// One server may answer for several CAs, and fail for one of them, or at one of its URLs: the others are asked about as ever. A server that
// cannot be reached is left alone by all.
func TestAnEndpointFailsByItself(t *testing.T) {
	t.Parallel()
	status := func(code int) (*http.Response, error) {
		return &http.Response{StatusCode: code, Body: http.NoBody}, nil
	}
	for name, row := range map[string]struct {
		fail       func(*http.Request) (*http.Response, error)
		kind       ocsp.Kind
		ofTheOther ocsp.Kind
	}{
		"an HTTP status":     {func(*http.Request) (*http.Response, error) { return status(http.StatusBadGateway) }, ocsp.KindHTTP, ""},
		"too many requests":  {func(*http.Request) (*http.Response, error) { return status(http.StatusTooManyRequests) }, ocsp.KindHTTP, ""},
		"an internal error":  {func(*http.Request) (*http.Response, error) { return respond(xocsp.InternalErrorErrorResponse) }, ocsp.KindTryLater, ""},
		"try later":          {func(*http.Request) (*http.Response, error) { return respond(xocsp.TryLaterErrorResponse) }, ocsp.KindTryLater, ""},
		"half an answer":     {halfAnAnswer, ocsp.KindConnection, ""},
		"a redirect":         {redirectTo("https://ocsp.test/"), ocsp.KindConnection, ""},
		"round and round":    {redirectTo("http://ocsp.test/odd"), ocsp.KindConnection, ""},
		"connection refused": {func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") }, ocsp.KindConnection, ocsp.KindBackOff},
		"silence":            {hang, ocsp.KindTimeout, ocsp.KindBackOff},
	} {
		for where, well := range map[string]string{"another URL": "http://ocsp.test/devices", "another CA": "http://ocsp.test/odd"} {
			t.Run(name+" for "+where, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					fails := true
					client := &ocsp.Client{
						Allows: func(*url.URL) bool { return true },
						HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
							switch {
							case r.URL.Scheme == "https":
								return nil, errors.New("refused")
							case fails:
								return row.fail(r)
							}
							return respond(good())
						})},
					}
					odd := naming("http://ocsp.test/odd")
					if where == "another CA" {
						odd.Issuer = testPKI().other.Cert
					}
					for range 3 {
						_, err := client.Ask(t.Context(), odd, true)
						wantKind(t, err, row.kind)
					}
					fails = false
					_, err := client.Ask(t.Context(), odd, true)
					wantKind(t, err, ocsp.KindBackOff)
					if _, err := client.Ask(t.Context(), naming(well), true); ocsp.KindOf(err) != row.ofTheOther {
						t.Errorf("of the other CA: got %v, want %q", err, row.ofTheOther)
					}
				})
			})
		}
	}
}

// halfAnAnswer is a response whose body breaks off.
func halfAnAnswer(*http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader("0"), iotest.ErrReader(io.ErrUnexpectedEOF))
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
}

func redirectTo(target string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {target}}, Body: http.NoBody}, nil
	}
}

// Certificates can name any number of URLs that fail: what is remembered of them is bounded.
func TestFewFailingEndpointsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := &ocsp.Client{
			Allows: func(*url.URL) bool { return true },
			HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusBadGateway, Body: http.NoBody}, nil
			})},
		}
		ask := func(path string, want ocsp.Kind) {
			t.Helper()
			_, err := client.Ask(t.Context(), naming("http://ocsp.test/"+path), true)
			wantKind(t, err, want)
		}
		for range 3 {
			ask("first", ocsp.KindHTTP)
		}
		ask("first", ocsp.KindBackOff)
		for n := range 100 {
			ask(fmt.Sprint(n), ocsp.KindHTTP)
		}
		ask("first", ocsp.KindHTTP)
	})
}

// Requests that nobody waits for leave room for others.
func TestRefreshesLeaveRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := &ocsp.Client{
			URL: parseURL(t, "http://ocsp.test"), Timeout: time.Second, MaxInFlight: 4,
			HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				time.Sleep(100 * time.Millisecond)
				return respond(good())
			})},
		}
		var refreshed, busy atomic.Int32
		var running sync.WaitGroup
		for range 10 {
			running.Go(func() {
				switch _, err := client.Ask(t.Context(), lamp(), false); ocsp.KindOf(err) {
				case "":
					refreshed.Add(1)
				case ocsp.KindBusy:
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		for range 2 {
			running.Go(func() {
				if _, err := client.Ask(t.Context(), lamp(), true); err != nil || time.Since(began) != 100*time.Millisecond {
					t.Errorf("a client that waits: %v after %v", err, time.Since(began))
				}
			})
		}
		running.Wait()
		if refreshed.Load() != 2 || busy.Load() != 8 {
			t.Errorf("%d were refreshed, and %d stood back", refreshed.Load(), busy.Load())
		}
	})
}

func TestACanceledQuestionSaysNothingOfTheResponder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := &ocsp.Client{
			URL: parseURL(t, "http://ocsp.test"), Timeout: time.Second, MaxInFlight: 1, HTTP: &http.Client{Transport: transport(hang)},
		}
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			var both sync.WaitGroup
			for range 2 { // one has to wait for its place
				both.Go(func() {
					_, err := client.Ask(ctx, lamp(), true)
					wantKind(t, err, ocsp.KindCanceled)
				})
			}
			synctest.Wait()
			cancel()
			both.Wait()
		}
		_, err := client.Ask(t.Context(), lamp(), true)
		wantKind(t, err, ocsp.KindTimeout)
	})
}

func TestQuestionsAreObserved(t *testing.T) {
	t.Parallel()
	responder := serve(t, answering(good()))
	client := newClient(t, responder)
	var seen []ocsp.Question
	client.Observe = func(q ocsp.Question) { seen = append(seen, q) }
	_, _ = client.Ask(t.Context(), lamp(), true)
	_, _ = client.Ask(t.Context(), about(testPKI().ca.Issue("acme:door"), testPKI().ca), true)
	if len(seen) != 2 || seen[0].Err != nil || seen[0].Answer.Status != ocsp.Good || seen[0].Responder != responder.Host ||
		seen[1].Issuer != testPKI().ca.Cert || seen[0].Took <= 0 {
		t.Fatalf("got %+v", seen)
	}
	wantKind(t, seen[1].Err, ocsp.KindOther)
	if errors.Unwrap(seen[1].Err) == nil {
		t.Error("the cause is lost")
	}
}
