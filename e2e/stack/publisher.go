// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"sync"
)

// Publisher is the web server of a CA: it has files, and says when they have not changed.
// Its methods may be called from any goroutine.
type Publisher struct {
	URL string // without a slash at its end

	server *http.Server

	mu          sync.Mutex
	files       map[string][]byte
	contentType string
	requests    map[string]int
	unchanged   map[string]int
}

// StartPublisher starts a server without files.
func StartPublisher() (*Publisher, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Publisher{
		URL: "http://" + l.Addr().String(), contentType: "application/pkix-crl",
		files: map[string][]byte{}, requests: map[string]int{}, unchanged: map[string]int{},
	}
	p.server = &http.Server{Handler: p}
	go serve(p.server, l)
	return p, nil
}

// Publish makes content the file at a path.
func (p *Publisher) Publish(path string, content []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[path] = content
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

// Close stops the server.
func (p *Publisher) Close() error { return p.server.Close() }

func (p *Publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests[r.URL.Path]++
	content, ok := p.files[r.URL.Path]
	etag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(content)))
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Header.Get("If-None-Match") == etag:
		p.unchanged[r.URL.Path]++
		w.WriteHeader(http.StatusNotModified)
	default:
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Type", p.contentType)
		_, _ = w.Write(content)
	}
}
