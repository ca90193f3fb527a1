// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// The pace of the store, for tests that measure it.
const (
	QuietTime   = watch.QuietTime
	Patience    = watch.Patience
	SettleDelay = watch.SettleDelay
)

// NewBundle makes the bundle of a generation, and finds out who has signed what.
func NewBundle(certs []*x509.Certificate) { newBundle(certs) }

// MemoryPipe is what trials shake hands over.
func MemoryPipe() (a, b net.Conn) { return memoryPipe() }

// Follow is Run with changes told by the test.
func (s *Store) Follow(ctx context.Context, changes <-chan struct{}, interval time.Duration) {
	s.follow(ctx, changes, interval)
}

// Tried returns how many lists are in memory that were tried and are not in use yet.
func (s *Store) Tried() int { return len(s.tried.all()) }

// TestingOnlyFailWatching makes watching impossible.
func (s *Store) TestingOnlyFailWatching(err error) {
	s.watch = func([]string, *slog.Logger) (*watch.Watcher, error) { return nil, err }
}

// ReadFailing reads a large file of CRLs whose content cannot be read, as that of a directory, and reports why and
// whether it would be read again.
func ReadFailing(dir *os.File, size int64, modified time.Time) (err error, again bool) {
	file := &source{File: File{dir.Name(), [32]byte{1}}, large: dir, size: size, modified: modified}
	found := readListFile(file, newBundle(nil), time.Now(), nil)
	return found.err, !found.isCurrent(file, found.bundle, time.Now())
}
