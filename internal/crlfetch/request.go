// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/vernegate/vernegate/internal/outbound"
	"github.com/vernegate/vernegate/internal/pace"
)

const (
	// maxFetch is how long one request may take, with the body of the answer.
	maxFetch = 15 * time.Minute

	// slowWindow is how long minProgress bytes of a body may take. A server that sends a
	// byte now and then keeps nothing waiting but itself.
	slowWindow  = 10 * time.Second
	minProgress = 16 << 10

	// pieceSize is how much is written at a time.
	pieceSize = 32 << 10

	// maxValidator bounds an ETag or Last-Modified that is sent back, in bytes.
	maxValidator = 1 << 10
)

var (
	errTooSlow     = fmt.Errorf("the server sent less than %d bytes in %v", minProgress, slowWindow)
	errUnasked     = errors.New("the server says that nothing has changed, and was not asked that")
	errFetchTooOld = fmt.Errorf("the answer took more than %v", maxFetch)
)

// busyError is an answer that is neither the list nor that it is the same.
type busyError struct {
	status     string
	retryAfter time.Duration
}

func (e *busyError) Error() string { return "the server answers " + e.status }

// fetch asks the server of a source for what is newer than the copy.
func (f *Fetcher) fetch(ctx context.Context, s *source) (Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, maxFetch, errFetchTooOld)
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	req, err := s.request(ctx)
	if err != nil {
		return Failed, err
	}
	resp, err := f.config.Client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // which does not name the URL once more
		}
		return Failed, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && s.copy.isConditional():
		return Unchanged, s.confirm(resp, s.copy.note)
	case resp.StatusCode == http.StatusNotModified:
		return Failed, errUnasked
	case resp.StatusCode != http.StatusOK:
		return Failed, &busyError{strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode), retryAfter(resp)}
	}
	p := newProgress(func() { giveUp(errTooSlow) })
	defer p.stop()
	return f.take(ctx, s, resp, p)
}

// request makes a request that asks for what is newer than the copy.
func (s *source) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "vernegate")
	req.Header.Set("Accept", "application/pkix-crl, */*;q=0.5")
	req.Header.Set("Cache-Control", "no-cache") // a cache on the way has to ask, too
	if s.copy.isConditional() {
		set := func(name, value string) {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		set("If-None-Match", s.copy.note.ETag)
		set("If-Modified-Since", s.copy.note.LastModified)
	}
	return req, nil
}

// isConditional reports whether the server can be asked for what is newer than the copy.
func (c *copyFile) isConditional() bool {
	return c.held && (c.note.ETag != "" || c.note.LastModified != "")
}

// retryAfter returns how long a busy server wants to be left alone (RFC 9110 §10.2.3).
func retryAfter(resp *http.Response) time.Duration {
	value := resp.Header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

// take writes the body of an answer to a file of its own, and makes that the copy if it
// is another one and good.
func (f *Fetcher) take(ctx context.Context, s *source, resp *http.Response, p *progress) (Result, error) {
	temp, err := os.CreateTemp(f.config.Dir, prefix+"*"+tempSuffix)
	if err != nil {
		return Failed, err
	}
	defer os.Remove(temp.Name())
	defer temp.Close()
	sum, size, err := f.download(ctx, resp, temp, p)
	p.stop()
	if err != nil {
		return Failed, err
	}
	if s.copy.held && s.copy.note.SHA256 == hex.EncodeToString(sum[:]) {
		return Unchanged, s.confirm(resp, s.copy.note)
	}
	due, err := f.judge(ctx, Download{Name: s.Name, File: temp.Name(), First: !s.copy.held, SHA256: sum}, temp)
	if err != nil {
		return Failed, err
	}
	n := note{URL: s.Name, Origin: s.Origin, SHA256: hex.EncodeToString(sum[:]), Size: size, Changed: time.Now(), Due: due}
	if err := s.copy.replace(temp.Name(), n.of(resp)); err != nil {
		return Failed, err
	}
	s.keep()
	return Replaced, nil
}

// judge has the caller decide about a download, while the disk takes it.
func (f *Fetcher) judge(ctx context.Context, d Download, file *os.File) (due time.Time, err error) {
	synced := make(chan error, 1)
	go func() { synced <- file.Sync() }()
	due, err = f.config.Try(ctx, d)
	if wrong := <-synced; err == nil {
		err = wrong
	}
	return due, err
}

// confirm notes that the copy is what the server has.
func (s *source) confirm(resp *http.Response, n note) error {
	if resp.StatusCode != http.StatusNotModified {
		n = n.of(resp)
	}
	n.Confirmed = time.Now()
	defer s.keep()
	return s.copy.write(n)
}

// of returns the note with what an answer says about what it brings.
func (n note) of(resp *http.Response) note {
	bounded := func(value string) string {
		if len(value) > maxValidator {
			return ""
		}
		return value
	}
	n.ETag, n.LastModified = bounded(resp.Header.Get("ETag")), bounded(resp.Header.Get("Last-Modified"))
	n.Confirmed = time.Now()
	return n
}

// download writes the body of an answer to a file, slowly enough that nothing else feels it.
func (f *Fetcher) download(ctx context.Context, resp *http.Response, to *os.File, p *progress) (sum [sha256.Size]byte, size int64, err error) {
	body, digest, throttle := outbound.LimitBody(resp, f.config.MaxSize), sha256.New(), pace.NewThrottle(ctx.Done())
	buffer := make([]byte, pieceSize)
	for {
		n, err := body.Read(buffer)
		p.add(n)
		digest.Write(buffer[:n])
		if _, wrong := to.Write(buffer[:n]); wrong != nil {
			return sum, 0, wrong
		}
		size += int64(n)
		switch {
		case err == io.EOF:
			return [sha256.Size]byte(digest.Sum(nil)), size, nil
		case err != nil && ctx.Err() != nil:
			return sum, 0, context.Cause(ctx)
		case err != nil:
			return sum, 0, err
		}
		throttle.Yield()
	}
}
