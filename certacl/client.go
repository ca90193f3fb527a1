// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package certacl asks dojot's certificate-acl who owns a certificate.
//
// Client makes one HTTP request for one fingerprint. Cache, which sessions
// call, remembers its answers and makes one request at a time per fingerprint.
//
// Both answer (owner, ok, err), the three outcomes that must not be mixed up:
// the certificate has an owner (owner, true, nil), it has none ("", false,
// nil), or it could not be told ("", false, err). An owner is what
// certificate-acl said, "tenant:device" or the name of a service; whether it
// is fit to be an MQTT username is for the caller to judge. What something else
// on the way says in its place, such as the 404 of an ingress, is no answer.
package certacl

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/vernegate/vernegate/internal/pki"
)

// Where and how patiently certificate-acl is asked unless configured: the
// values of the VerneMQ image that vernegate replaces.
const (
	DefaultURL     = "http://certificate-acl:3000/internal/api/v1/acl-entries/"
	DefaultTimeout = 1000 * time.Millisecond
)

// DefaultMaxInFlight bounds the requests that a Client has under way. At
// 10 ms an answer, 64 requests at a time are 6 400 answers a second: all of the platform's
// 100 000 devices within 16 s of an outage, while certificate-acl, a
// single-threaded event loop, sees no longer queue than that.
const DefaultMaxInFlight = 64

// idleTimeout is how long an unused connection is kept. Node.js, on which
// certificate-acl runs, closes its side after 5 s (server.keepAliveTimeout);
// going first keeps requests off a connection that is just being closed.
const idleTimeout = 4 * time.Second

// Client asks certificate-acl, one HTTP/1.1 request per Lookup. The zero value
// is ready to use. The fields must not change after the first Lookup; the
// methods may be called from any number of goroutines.
//
// It talks to the host of the URL alone: redirects are not
// followed, and HTTP_PROXY and its like are ignored, because an answer here is
// an identity and must not come from wherever an environment or a response
// points to.
type Client struct {
	// URL, http or https, is what a fingerprint is appended to as is.
	// Empty means DefaultURL.
	URL string

	// Timeout bounds the request of a Lookup, from dialing to the last byte
	// of the body, and before that how long the Lookup waits for a slot. So
	// a request that begins has the time that an answer takes: where more
	// is asked than can be answered, the slots are not spent on requests that
	// have no time left. Zero means DefaultTimeout.
	Timeout time.Duration

	// MaxInFlight bounds the requests under way at any moment and the
	// connections kept between them. Zero means DefaultMaxInFlight.
	MaxInFlight int

	// TLS returns what is used for an https URL; nil, as itself and as its
	// result, means Go's defaults and the roots of the system. It is called
	// for each Lookup. When it returns another configuration than before,
	// the connections made with that one carry no further requests.
	TLS func() *tls.Config

	// Token returns the bearer token of a request; nil, and "", mean none.
	// It goes to the host of the URL alone, and is in no error.
	Token func() string

	once  sync.Once
	slots chan struct{} // one element for each request under way

	mu   sync.Mutex
	tls  *tls.Config  // that http was made with
	http *http.Client // nil = there was no Lookup yet
}

// Lookup asks for the owner of the certificate with this fingerprint. Status
// 200 with a JSON string is an owner, 404 with certificate-acl's own words is
// none, and everything else is a *LookupError. Cancelling ctx ends it early.
func (c *Client) Lookup(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error) {
	c.once.Do(c.init)
	if err := c.acquire(ctx); err != nil {
		return "", false, err
	}
	defer c.release()

	ctx, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, DefaultTimeout))
	defer cancel()
	resp, err := c.get(ctx, fp)
	if err != nil {
		return "", false, transportError(ctx, err, 0)
	}
	defer resp.Body.Close()

	switch resp.StatusCode {
	case http.StatusOK, http.StatusNotFound:
		return readAnswer(ctx, resp, fp)
	default:
		drain(resp.Body)
		return "", false, &LookupError{Kind: KindStatus, Status: resp.StatusCode}
	}
}

// CloseIdleConnections closes the connections that no Lookup uses. A Client
// that is no longer needed leaves nothing behind once its last Lookup has
// returned and this was called.
func (c *Client) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http != nil {
		c.http.CloseIdleConnections()
	}
}

func (c *Client) init() {
	c.slots = make(chan struct{}, orDefault(c.MaxInFlight, DefaultMaxInFlight))
}

// client returns what makes a request, with the TLS configuration of now.
func (c *Client) client() *http.Client {
	var config *tls.Config
	if c.TLS != nil {
		config = c.TLS()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.http == nil || config != c.tls {
		if c.http != nil {
			c.http.CloseIdleConnections() // those in use end with their requests
		}
		c.http, c.tls = c.newHTTPClient(config), config
	}
	return c.http
}

func (c *Client) newHTTPClient(config *tls.Config) *http.Client {
	timeout := orDefault(c.Timeout, DefaultTimeout)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy: nil, // see Client

			// net/http dials on after the request that wanted the
			// connection has given up, so dialing has bounds of its own.
			DialContext:         (&net.Dialer{Timeout: timeout}).DialContext,
			TLSHandshakeTimeout: timeout,
			TLSClientConfig:     config.Clone(),

			MaxConnsPerHost:        cap(c.slots), // counts those that are dialed on, too
			MaxIdleConnsPerHost:    cap(c.slots), // net/http's 2 would close most of a burst
			IdleConnTimeout:        idleTimeout,
			MaxResponseHeaderBytes: maxBody,
			DisableCompression:     true, // maxBody is to bound what arrives, too
		},
	}
}

// acquire takes a slot for one request, and waits for one for Timeout at most; release gives it back.
func (c *Client) acquire(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, DefaultTimeout))
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		err := fmt.Errorf("%d requests in flight: %w", cap(c.slots), ctx.Err())
		if ctx.Err() == context.Canceled {
			return &LookupError{Kind: KindCanceled, Err: err}
		}
		return &LookupError{Kind: KindBusy, Err: err}
	}
}

func (c *Client) release() { <-c.slots }

func (c *Client) get(ctx context.Context, fp pki.Fingerprint) (*http.Response, error) {
	prefix := c.URL
	if prefix == "" {
		prefix = DefaultURL
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, prefix+fp.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "vernegate")
	if c.Token != nil {
		if token := c.Token(); token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	return c.client().Do(req)
}

// readAnswer reads the body of a 200 or a 404. The Content-Type is not looked at:
// a page of HTML is no JSON whatever it calls itself.
func readAnswer(ctx context.Context, resp *http.Response, fp pki.Fingerprint) (owner string, ok bool, err error) {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return "", false, transportError(ctx, err, resp.StatusCode)
	}
	if resp.StatusCode == http.StatusOK {
		owner, err = parseOwner(body)
	} else {
		err = checkNotFound(body, fp)
	}
	if err != nil {
		return "", false, &LookupError{Kind: KindBody, Status: resp.StatusCode, Err: err}
	}
	return owner, resp.StatusCode == http.StatusOK, nil
}

// drain reads a body that does not matter, so that its connection can carry
// the next request. One that is too long or too slow costs the connection.
func drain(body io.Reader) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxBody+1))
}

// orDefault returns value unless it says nothing.
func orDefault[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}
