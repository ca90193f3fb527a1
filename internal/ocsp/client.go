// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package ocsp asks OCSP responders (RFC 6960) whether client certificates are revoked.
//
// Client makes one request about one certificate, and decides whether the answer counts. Cache remembers answers while they
// hold, and asks again before they end. Checker, which sessions call, says what that means for a client.
//
// It asks about the certificates of clients, not about those of the CAs above them: there are few of these, and a CRL
// tells of them all. It sends no nonce, so that caches on the way can answer (RFC 5019); how old an answer may be is
// decided by its times.
package ocsp

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// DefaultTimeout is how long one question may take unless configured.
const DefaultTimeout = time.Second

// maxResponders bounds how many responders are remembered: certificates name them.
const maxResponders = 1000

// Client asks responders, one request for each Ask. The zero value with HTTP is ready to use. The fields must not change
// after the first Ask; the methods may be called from any number of goroutines.
type Client struct {
	// HTTP makes the requests. It must not follow redirects to where the operator would not have it go.
	HTTP *http.Client

	// URL is the responder for all certificates. Nil means the first one that a certificate names (RFC 5280 §4.2.2.1)
	// and Allows allows.
	URL *url.URL

	// Allows reports whether a URL that a certificate names may be asked. Nil means none.
	Allows func(*url.URL) bool

	// Timeout bounds one Ask, from waiting for a place to the last byte of the body. Zero means DefaultTimeout.
	Timeout time.Duration

	// MaxInFlight bounds the requests to one responder that are under way. Zero means DefaultMaxInFlight.
	MaxInFlight int

	// CheckSigner is asked about the certificates of delegated responders that do not say id-pkix-ocsp-nocheck.
	// Nil means that none of them is revoked.
	CheckSigner SignerFunc

	// Observe, if not nil, is told what came of each Ask, by the goroutine that called it.
	Observe func(Question)

	mu         sync.Mutex
	responders map[string]*responder // by scheme and host
}

// A Question is one Ask and what came of it.
type Question struct {
	Issuer    *x509.Certificate
	Responder string // its host; "" = none was chosen
	Answer    Answer // zero with Err
	Err       error  // nil or an *Error
	Took      time.Duration
}

// Ask asks for the status of a certificate. waited says whether a client waits for the answer; others come first when
// there is much to ask. The error is an *Error, and nothing is known then. Cancelling ctx ends it early.
func (c *Client) Ask(ctx context.Context, cert Certificate, waited bool) (Answer, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, DefaultTimeout))
	defer cancel()
	q := Question{Issuer: cert.Issuer}
	target, err := c.responderOf(cert.Leaf)
	if err == nil {
		q.Responder = target.Host
		q.Answer, err = c.askAt(ctx, target, cert, waited)
	}
	if e, ok := errors.AsType[*Error](err); ok {
		e.Responder = q.Responder
	}
	q.Err, q.Took = err, time.Since(began)
	if c.Observe != nil {
		c.Observe(q)
	}
	return q.Answer, err
}

// askAt asks one responder.
func (c *Client) askAt(ctx context.Context, target *url.URL, cert Certificate, waited bool) (Answer, error) {
	r := c.responder(target)
	if err := r.leftAlone(time.Now()); err != nil { // before it waits for those that hang
		return Answer{}, err
	}
	release, err := r.acquire(ctx, waited)
	if err != nil {
		return Answer{}, err
	}
	defer release()
	trial, err := r.admit(time.Now())
	if err != nil {
		return Answer{}, err
	}
	answer, err := c.ask(ctx, target, cert)
	r.note(err, trial, time.Now())
	return answer, err
}

func (c *Client) ask(ctx context.Context, target *url.URL, cert Certificate) (Answer, error) {
	req, err := newRequest(ctx, target, cert)
	if err != nil {
		return Answer{}, &Error{Kind: KindNoResponder, Err: err}
	}
	body, err := exchange(c.HTTP, req)
	if err != nil {
		return Answer{}, err
	}
	return verify(body, cert, time.Now(), c.CheckSigner)
}

// responderOf chooses whom to ask about a certificate.
func (c *Client) responderOf(leaf *x509.Certificate) (*url.URL, error) {
	if c.URL != nil {
		return c.URL, nil
	}
	if len(leaf.OCSPServer) == 0 {
		return nil, wrong(KindNoResponder, "the certificate names none")
	}
	for _, text := range leaf.OCSPServer {
		if u, err := url.Parse(text); err == nil && c.Allows != nil && c.Allows(u) {
			return u, nil
		}
	}
	return nil, wrong(KindNoResponder, "the certificate names %q, which may not be called", leaf.OCSPServer)
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
