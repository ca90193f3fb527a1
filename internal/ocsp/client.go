// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package ocsp asks OCSP responders (RFC 6960) whether client certificates are revoked.
//
// Client makes one request about one certificate, and decides whether the answer counts. Cache remembers answers while they
// hold, and asks again before they end. Checker, which sessions call, says what that means for a client.
//
// It asks about the certificates of clients, not about those of the CAs above them: there are few of these, and a CRL
// tells of them all. It sends no nonce unless configured, so that caches on the way can answer (RFC 5019); how old an answer
// may be is decided by its times.
package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// DefaultTimeout is how long one question may take unless configured.
const DefaultTimeout = time.Second

const (
	// maxResponders bounds how many responders are remembered: certificates name them.
	maxResponders = 1000

	// maxTries bounds how many responders are asked about one certificate.
	maxTries = 3

	// maxNamed bounds how many URLs of a certificate are looked at for that: a certificate has room for thousands.
	maxNamed = 32
)

// Client asks responders, one after the other until an answer counts. The zero value with HTTP is ready to use. The fields must not change
// after the first Ask; the methods may be called from any number of goroutines.
type Client struct {
	// HTTP makes the requests. It must not follow redirects to where the operator would not have it go.
	HTTP *http.Client

	// URL is the responder for all certificates. Nil means those that a certificate names (RFC 5280 §4.2.2.1) and Allows
	// allows, in their order, and three at most of the first 32.
	URL *url.URL

	// Allows reports whether a URL that a certificate names may be asked. Nil means none.
	Allows func(*url.URL) bool

	// Timeout bounds one Ask, from waiting for a place to the last byte of the body. Each of several responders has its
	// share of what is left. Zero means DefaultTimeout.
	Timeout time.Duration

	// MaxInFlight bounds the requests to one responder that are under way. Zero means DefaultMaxInFlight.
	MaxInFlight int

	// Nonce has each request bring a nonce, and an answer without it not count (RFC 9654). Then no cache can answer.
	Nonce bool

	// CheckSigner is asked about the certificates of delegated responders that do not say id-pkix-ocsp-nocheck.
	// Nil means that none of them is revoked.
	CheckSigner SignerFunc

	// Observe, if not nil, is told what came of asking each responder, by the goroutine that called Ask.
	Observe func(Question)

	mu         sync.Mutex
	responders map[string]*responder // by scheme and host
}

// A Question is that to one responder, and what came of it.
type Question struct {
	Issuer    *x509.Certificate
	Responder string // its host; "" = none was chosen
	Answer    Answer // zero with Err
	Err       error  // nil or an *Error
	Next      bool   // with Err: another responder is asked instead
	Took      time.Duration
}

// Ask asks for the status of a certificate. waited says whether a client waits for the answer; others come first when
// there is much to ask. The error is an *Error, that of the responder that was asked last, and nothing is known then.
// Cancelling ctx ends it early.
func (c *Client) Ask(ctx context.Context, cert Certificate, waited bool) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, DefaultTimeout))
	defer cancel()
	targets, err := c.respondersOf(cert.Leaf)
	if err != nil {
		return c.observed(Question{Issuer: cert.Issuer, Err: err})
	}
	for i, target := range targets[:len(targets)-1] {
		q := c.try(ctx, target, cert, waited, len(targets)-i)
		if q.Next = q.Err != nil && ctx.Err() == nil; !q.Next {
			return c.observed(q)
		}
		_, _ = c.observed(q)
	}
	return c.observed(c.try(ctx, targets[len(targets)-1], cert, waited, 1))
}

// observed returns what came of a question.
func (c *Client) observed(q Question) (Answer, error) {
	if c.Observe != nil {
		c.Observe(q)
	}
	return q.Answer, q.Err
}

// try asks one responder. It is one of so many that share the time that is left.
func (c *Client) try(ctx context.Context, target *url.URL, cert Certificate, waited bool, sharers int) Question {
	began := time.Now()
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(sharers))
		defer cancel()
	}
	q := Question{Issuer: cert.Issuer, Responder: target.Host}
	q.Answer, q.Err = c.askAt(ctx, target, cert, waited)
	if e, ok := errors.AsType[*Error](q.Err); ok {
		e.Responder = q.Responder
	}
	q.Took = time.Since(began)
	return q
}

// askAt asks one responder.
func (c *Client) askAt(ctx context.Context, target *url.URL, cert Certificate, waited bool) (Answer, error) {
	r, at := c.responder(target), endpointOf(target, cert.Issuer)
	if err := r.leftAlone(at, time.Now()); err != nil { // before it waits for those that hang
		return Answer{}, err
	}
	release, err := r.acquire(ctx, waited)
	if err != nil {
		return Answer{}, err
	}
	defer release()
	t, err := r.admit(at, time.Now())
	if err != nil {
		return Answer{}, err
	}
	answer, err := c.ask(ctx, target, cert)
	r.note(at, err, t, time.Now())
	return answer, err
}

// ask makes one request. What comes is from a stranger: if reading it makes this program panic, the question fails, and
// the process and its sessions do not.
func (c *Client) ask(ctx context.Context, target *url.URL, cert Certificate) (answer Answer, err error) {
	defer func() {
		if value := recover(); value != nil {
			answer, err = Answer{}, &Error{Kind: KindPanic, Err: &PanicError{value, debug.Stack()}, down: true}
		}
	}()
	var nonce []byte
	if c.Nonce {
		nonce = newNonce()
	}
	req, err := newRequest(ctx, target, cert, nonce)
	if err != nil {
		return Answer{}, &Error{Kind: KindNoResponder, Err: err}
	}
	body, err := exchange(c.HTTP, req)
	if err != nil {
		return Answer{}, err
	}
	return verify(body, cert, nonce, time.Now(), c.CheckSigner)
}

// respondersOf chooses whom to ask about a certificate: at least one without an error.
func (c *Client) respondersOf(leaf *x509.Certificate) (targets []*url.URL, _ error) {
	if c.URL != nil {
		return []*url.URL{c.URL}, nil
	}
	named := leaf.OCSPServer[:min(len(leaf.OCSPServer), maxNamed)]
	for i, text := range named {
		if len(targets) == maxTries {
			break
		}
		u, err := url.Parse(text)
		if err == nil && c.Allows != nil && c.Allows(u) && !slices.Contains(named[:i], text) {
			targets = append(targets, u)
		}
	}
	switch {
	case targets != nil:
		return targets, nil
	case len(named) == 0:
		return nil, wrong(KindNoResponder, "the certificate names none")
	}
	return nil, wrong(KindNoResponder, "the certificate names %d, none of which may be called; the first is %q", len(leaf.OCSPServer), pki.Clip([]byte(named[0])))
}

// responder returns what is known of the one at a URL.
func (c *Client) responder(target *url.URL) *responder {
	key := target.Scheme + "://" + target.Host
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.responders[key]
	if r != nil {
		return r
	}
	if c.responders == nil || len(c.responders) >= maxResponders { // then those that fail are found out anew
		c.responders = make(map[string]*responder)
	}
	r = newResponder(orDefault(c.MaxInFlight, DefaultMaxInFlight))
	c.responders[key] = r
	return r
}

// orDefault returns value unless it says nothing.
func orDefault[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}
