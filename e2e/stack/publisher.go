// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Publisher is the web server of a CA: it has files, and says when they have not changed.
// Its methods may be called from any goroutine.
type Publisher struct {
	URL string // without a slash at its end

	server *http.Server

	mu          sync.Mutex
	files       map[string]published
	contentType string
	requests    map[string]int
	unchanged   map[string]int
	given       map[string]time.Time
}

// published is what there is at a path.
type published struct {
	content []byte
	etag    string
}

// StartPublisher starts a server without files.
func StartPublisher() (*Publisher, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		URL: "http://" + l.Addr().String(), contentType: "application/pkix-crl",
		files: map[string]published{}, requests: map[string]int{}, unchanged: map[string]int{}, given: map[string]time.Time{},
	}
	p.server = &http.Server{Handler: p}
	go serve(p.server, l)
	return p, nil
}

// Publish makes content the file at a path.
func (p *Publisher) Publish(path string, content []byte) {
	f := published{content, fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(content)))}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[path] = f
}

// SetContentType changes what the server says its files are.
func (p *Publisher) SetContentType(contentType string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.contentType = contentType
}

// Requests returns how often a path was asked for, and how often of these the answer was
// that it has not changed.
func (p *Publisher) Requests(path string) (all, unchanged int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests[path], p.unchanged[path]
}

// Given returns when a path was last asked for by somebody who did not have it yet.
func (p *Publisher) Given(path string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.given[path]
}

// Close stops the server.
func (p *Publisher) Close() error { return p.server.Close() }

func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, status := p.answer(w.Header(), r)
	w.WriteHeader(status)
	_, _ = w.Write(content)
}

// answer decides what to answer, and writes the header.
func (p *Publisher) answer(header http.Header, r *http.Request) (content []byte, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[r.URL.Path]++
	f, ok := p.files[r.URL.Path]
	switch {
	case !ok:
		return nil, http.StatusNotFound
	case r.Header.Get("If-None-Match") == f.etag:
		p.unchanged[r.URL.Path]++
		return nil, http.StatusNotModified
	}
	p.given[r.URL.Path] = time.Now()
	header.Set("ETag", f.etag)
	header.Set("Content-Type", p.contentType)
	header.Set("Content-Length", strconv.Itoa(len(f.content)))
	return f.content, http.StatusOK
}
