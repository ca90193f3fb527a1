// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path"
	"sync"
)

// aclPath is where certificate-acl serves; the fingerprint follows.
const aclPath = "/internal/api/v1/acl-entries/"

// ACL stands in for certificate-acl: it answers who owns a fingerprint, or
// misbehaves as it is told, and counts what it is asked. Its methods are safe for
// concurrent use.
type ACL struct {
	URL string // what CERTIFICATE_ACL_URL must be

	addr string

	mu       sync.Mutex
	server   *http.Server // nil while down
	owners   map[string]string
	requests map[string]int
	answer   http.HandlerFunc // instead of the owners; nil = the owners
}

// StartACL starts a stand-in that owns nothing yet. The caller closes it.
func StartACL() (*ACL, error) {
	l, err := listenFree()
	if err != nil {
		return nil, err
	}
	a := &ACL{
		URL:      "http://" + l.Addr().String() + aclPath,
		addr:     l.Addr().String(),
		owners:   make(map[string]string),
		requests: make(map[string]int),
	}
	a.serveOn(l)
	return a, nil
}

// Own makes owner the answer for a fingerprint. No check is made: owners that
// vernegate must not believe are welcome.
func (a *ACL) Own(fingerprint, owner string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owners[fingerprint] = owner
}

// Disown makes "unknown" the answer for a fingerprint.
func (a *ACL) Disown(fingerprint string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.owners, fingerprint)
}

// Answer makes every answer from now on that of h: one of the misbehaviours of
// this package, say. nil goes back to the owners.
func (a *ACL) Answer(h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = h
}

// Requests is how often a fingerprint was asked for.
func (a *ACL) Requests(fingerprint string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.requests[fingerprint]
}

// Asked returns the fingerprints that were asked for and how often each.
func (a *ACL) Asked() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.requests)
}

// Up listens (again).
func (a *ACL) Up() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", a.addr)
	if err != nil {
		return fmt.Errorf("starting certificate-acl: %w", err)
	}
	a.serveOn(l)
	return nil
}

// serveOn answers what comes to a listener, until Down.
func (a *ACL) serveOn(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+aclPath+"{fingerprint}", a.serve)
	mux.HandleFunc("/", NoRoute)
	a.server = &http.Server{Handler: mux}
	go serve(a.server, l)
}

// serve serves until the server is closed.
func serve(s *http.Server, l net.Listener) {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		panic(err) // the listener is ours alone: nobody else can break it
	}
}

// Down stops listening and cuts every connection: the next request is refused by
// the kernel, as when the service's pod is gone.
func (a *ACL) Down() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.server == nil {
		return nil
	}
	s := a.server
	a.server = nil
	return s.Close()
}

// Close stops it for good.
func (a *ACL) Close() error { return a.Down() }

// serve answers one request.
func (a *ACL) serve(w http.ResponseWriter, r *http.Request) {
	fingerprint := path.Base(r.URL.Path)
	a.mu.Lock()
	a.requests[fingerprint]++
	owner, ok := a.owners[fingerprint]
	answer := a.answer
	a.mu.Unlock()
	switch {
	case answer != nil:
		answer(w, r)
	case !ok:
		answerJSON(w, http.StatusNotFound, map[string]string{"error": fmt.Sprintf("The fingerprint %s doesn't exist.", fingerprint)})
	default:
		answerJSON(w, http.StatusOK, owner)
	}
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}
