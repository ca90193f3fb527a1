// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"net"
	"os"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vernegate/vernegate/proxy/relay"
)

// A side that is slow gets more time, but never more than the end of a session leaves it.
func TestLastDeadlineCounts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pipe func(*session) *relay.Pipe
		end  func(*session)
	}{
		"broker, stopped":      {(*session).upward, func(s *session) { s.stop(CertRevoked, nil) }},
		"broker, no one hears": {(*session).upward, func(s *session) { s.endWriting(aLongTimeAgo) }},
		"client, stopped":      {(*session).downward, func(s *session) { s.stop(CertRevoked, nil) }},
		"client, it has ended": {(*session).downward, func(s *session) { s.over(ClientClosed, io.EOF) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &session{backend: new(relay.Conn)}
			client, _ := net.Pipe()
			backend, _ := net.Pipe()
			s.client.Open(client)
			s.backend.Open(backend)
			s.up.Detach() // which they are when a session is over
			if s.Linger(test.pipe(s)).IsZero() {
				t.Error("got no time, want some")
			}
			test.end(s)
			if !s.Linger(test.pipe(s)).IsZero() {
				t.Error("got more time, want none")
			}
			s.Wake(test.pipe(s))
		})
	}
}

func (s *session) upward() *relay.Pipe   { return &s.up }
func (s *session) downward() *relay.Pipe { return &s.down }

// When a session is stopped, both sides get the time of that for what was read, whatever ends meanwhile.
func TestStoppedSessionKeepsItsTime(t *testing.T) {
	t.Parallel()
	for name, ended := range map[string]relay.Result{
		"nothing comes from the broker": {Cause: relay.SourceEnded, Err: os.ErrDeadlineExceeded},
		"the broker has ended":          {Cause: relay.SourceEnded, Err: io.EOF},
		"the client takes nothing":      {Cause: relay.DestinationFailed, Err: os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &session{backend: new(relay.Conn)}
				client, _ := net.Pipe()
				backend, _ := net.Pipe()
				s.client.Open(client)
				s.backend.Open(backend)
				began := time.Now()
				s.stop(CertRevoked, nil)
				s.downEnded(ended)
				s.setWriteDeadline(client, began.Add(lingerTimeout)) // upEnded, which did not know yet
				var written sync.WaitGroup
				for side, conn := range map[string]net.Conn{"client": client, "broker": backend} {
					written.Go(func() {
						_, err := conn.Write([]byte("what was read"))
						if took := time.Since(began); took != time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("the %s had %v (%v), want 1s", side, took, err)
						}
					})
				}
				written.Wait()
			})
		})
	}
}

// Go's allocator has sizes for objects: the next one takes 128 bytes more for each session, and 32 for each certificate.
func TestSessionsFitTheSizesOfTheAllocator(t *testing.T) {
	t.Parallel()
	const header = 8 // in front of an object of more than 512 bytes that has pointers
	if size, fits := reflect.TypeFor[session]().Size(), uintptr(768-header); size > fits {
		t.Errorf("a session has %d bytes, %d fit", size, fits)
	}
	if size, fits := reflect.TypeFor[clientCert]().Size(), uintptr(320); size > fits {
		t.Errorf("a client certificate has %d bytes, %d fit", size, fits)
	}
}
