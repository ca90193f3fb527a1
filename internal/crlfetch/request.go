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
	"strconv"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/outbound"
	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
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

	// wholeInterval is how often a server is asked for all of its list, at least, if it is asked more often than that. For
	// as long an older answer may hide a newer list, if it was sent with the ETag of that by somebody on the way.
	wholeInterval = time.Hour

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
	s.conditional = s.copy.isConditional(time.Now()) && (f.config.Refused == nil || !f.config.Refused(s.Name))
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
	case resp.StatusCode == http.StatusNotModified && s.conditional:
		s.confirm(s.copy.note)
		return Unchanged, nil
	case resp.StatusCode == http.StatusNotModified:
		return Failed, errUnasked
	case resp.StatusCode != http.StatusOK:
		return Failed, &busyError{strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode), retryAfter(resp)}
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return Failed, fmt.Errorf("the answer has the Content-Encoding %q, which was not asked for: the server has to send the list as it is", pki.Clip([]byte(coding)))
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
	req.Header.Set("Accept-Encoding", "identity") // what is small on the wire must not be large on the disk
	req.Header.Set("Cache-Control", "no-cache")   // a cache on the way has to ask, too
	if s.conditional {
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

// isConditional reports whether the server can be asked for what is newer than the copy. It is asked for all of a list
// that is overdue: it may have a new one under the old ETag. So it is from time to time, whatever the ETag.
func (c *copyFile) isConditional(now time.Time) bool {
	overdue := !c.note.Due.IsZero() && now.After(c.note.Due)
	age := now.Sub(c.note.Fetched) // below zero: the clock was set back
	recent := 0 <= age && age < wholeInterval-jitter(wholeInterval)
	return c.held && recent && !overdue && c.note.hasValidators()
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

// take writes the body of an answer to a spool, and makes that the copy if it
// is another one and good.
func (f *Fetcher) take(ctx context.Context, s *source, resp *http.Response, p *progress) (Result, error) {
	spool := f.newSpool()
	defer spool.discard()
	sum, err := f.download(ctx, resp, spool, p)
	p.stop()
	if err != nil {
		return Failed, err
	}
	same := s.copy.has(sum)
	if same && s.copy.note.isCompared() {
		n := s.copy.note // with the ETag from before: that of an answer which is sent again may be that of a newer list
		n.Fetched = time.Now()
		s.confirm(n)
		return Unchanged, nil
	}
	instead, digest := f.newSpool(), sha256.New()
	defer instead.discard()
	verdict, err := f.judge(ctx, s.downloaded(spool, sum, io.MultiWriter(instead, digest)), spool)
	if err != nil && instead.size > 0 {
		return f.takeInstead(ctx, s, instead, [sha256.Size]byte(digest.Sum(nil)), err)
	}
	if err != nil {
		return Failed, err
	}
	now := time.Now()
	n := note{URL: s.Name, Origin: s.Origin, SHA256: hex.EncodeToString(sum[:]), Size: spool.size, Changed: now, Confirmed: now}
	n.ETag, n.LastModified = validators(resp)
	if verdict.Compared {
		n.Fetched, n.Due = now, verdict.Due
	}
	if same {
		before := &s.copy.note
		n.Changed = before.Changed
		if before.hasValidators() {
			n.ETag, n.LastModified = before.ETag, before.LastModified
		}
		s.confirm(n)
		return Unchanged, nil
	}
	if err := s.copy.replace(spool, n, sum); err != nil {
		return Failed, err
	}
	s.keep()
	return Replaced, nil
}

// takeInstead makes a part of an answer the copy, together with what that part does not replace. why says what is wrong with
// the rest. The note has nothing that the server said of the answer, as that is not what the copy is.
func (f *Fetcher) takeInstead(ctx context.Context, s *source, instead *spool, sum [sha256.Size]byte, why error) (Result, error) {
	if s.copy.has(sum) {
		return Failed, why // it is in use already
	}
	verdict, err := f.judge(ctx, s.downloaded(instead, sum, nil), instead)
	if err != nil {
		return Failed, fmt.Errorf("%w; using a part of it: %w", why, err)
	}
	n := note{
		URL: s.Name, Origin: s.Origin, SHA256: hex.EncodeToString(sum[:]), Size: instead.size,
		Changed: time.Now(), Confirmed: s.copy.note.Confirmed, Due: verdict.Due,
	}
	if err := s.copy.replace(instead, n, sum); err != nil {
		return Failed, fmt.Errorf("%w; using a part of it: %w", why, err)
	}
	s.keep()
	return Replaced, why
}

// downloaded is what is in a spool.
func (s *source) downloaded(spool *spool, sum [sha256.Size]byte, instead io.Writer) Download {
	return Download{Name: s.Name, File: spool.name(), Data: spool.data, First: !s.copy.held || s.copy.has(sum), SHA256: sum, Instead: instead}
}

// judge has the caller decide about a download, while the disk takes it.
func (f *Fetcher) judge(ctx context.Context, d Download, spool *spool) (v Verdict, err error) {
	synced := make(chan error, 1)
	go func() { synced <- spool.sync() }()
	v, err = f.config.Try(ctx, d)
	wrong := <-synced
	if err != nil || wrong == nil {
		return v, err
	}
	if err := spool.toMemory(wrong); err != nil {
		return v, err
	}
	if !spool.is(d.SHA256) { // the disk has lost it
		return v, spool.notKept
	}
	return v, nil
}

// confirm notes that the copy is what the server has, and what is known of it.
func (s *source) confirm(n note) {
	n.Confirmed = time.Now()
	s.copy.confirm(n)
	s.keep()
}

// validators returns what an answer says about what it brings (RFC 9110 §8.8).
func validators(resp *http.Response) (etag, lastModified string) {
	bounded := func(value string) string {
		if len(value) > maxValidator {
			return ""
		}
		return value
	}
	return bounded(resp.Header.Get("ETag")), bounded(resp.Header.Get("Last-Modified"))
}

// download copies the body of an answer, slowly enough that nothing else feels it.
func (f *Fetcher) download(ctx context.Context, resp *http.Response, to io.Writer, p *progress) (sum [sha256.Size]byte, err error) {
	body, digest, throttle := outbound.LimitBody(resp, f.config.MaxSize), sha256.New(), pace.NewThrottle(ctx.Done())
	buffer := make([]byte, pieceSize)
	for {
		n, err := body.Read(buffer)
		p.add(n)
		digest.Write(buffer[:n])
		if _, wrong := to.Write(buffer[:n]); wrong != nil {
			return sum, wrong
		}
		switch {
		case err == io.EOF:
			return [sha256.Size]byte(digest.Sum(nil)), nil
		case err != nil && ctx.Err() != nil:
			return sum, context.Cause(ctx)
		case err != nil:
			return sum, err
		}
		throttle.Yield()
	}
}
