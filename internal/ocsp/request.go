// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/crypto/ocsp"
)

const (
	// maxGet is the longest URL that is asked with GET, which caches on the way can answer (RFC 5019 §5). Longer ones may
	// not pass everywhere.
	maxGet = 255

	// maxBody bounds a response. One answer takes some 500 bytes, and 3 kB with the certificate of its signer.
	maxBody = 64 << 10

	contentRequest  = "application/ocsp-request"
	contentResponse = "application/ocsp-response"
)

// newRequest returns the HTTP request to a responder about a certificate (RFC 6960 appendix A.1). What it is about is
// hashed with SHA-1, which is all that some responders know (RFC 5019 §2.1.1); no secret depends on that. With a nonce,
// no cache can answer, so it is a POST, whatever its size.
func newRequest(ctx context.Context, responder *url.URL, cert Certificate, nonce []byte) (*http.Request, error) {
	body, err := ocsp.CreateRequest(cert.Leaf, cert.Issuer, nil)
	if err == nil && nonce != nil {
		body, err = withNonce(body, nonce)
	}
	if err != nil {
		return nil, err
	}
	makeRequest := getOrPost
	if nonce != nil {
		makeRequest = post
	}
	req, err := makeRequest(ctx, responder, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", contentResponse)
	req.Header.Set("User-Agent", "vernegate")
	return req, nil
}

func getOrPost(ctx context.Context, responder *url.URL, body []byte) (*http.Request, error) {
	target := strings.TrimSuffix(responder.String(), "/") + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(body))
	if len(target) <= maxGet && responder.RawQuery == "" && responder.User == nil {
		return http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	}
	return post(ctx, responder, body)
}

func post(ctx context.Context, responder *url.URL, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, responder.String(), bytes.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", contentRequest)
	}
	return req, err
}

// exchange sends a request and returns the body of the response. The Content-Type is not looked at: what counts is signed.
// The error is an *Error.
func exchange(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		e := transportError(req.Context(), err)
		e.unreached = resp == nil && !isElsewhere(err, req.URL)
		return nil, e
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // so that the connection can be used again
		return nil, &Error{
			Kind: KindHTTP, Err: fmt.Errorf("HTTP status %d", resp.StatusCode),
			down: resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests,
		}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, transportError(req.Context(), err)
	case len(body) > maxBody:
		return nil, wrong(KindMalformed, "the response has more than %d bytes", maxBody)
	}
	return body, nil
}

// isElsewhere reports whether what Do returned is the error of another server, that of a redirect.
func isElsewhere(err error, first *url.URL) bool {
	e, ok := errors.AsType[*url.Error](err)
	if !ok {
		return false
	}
	last, err := url.Parse(e.URL)
	return err == nil && (last.Scheme != first.Scheme || last.Host != first.Host)
}
