// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crlfetch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
)

// maxInMemory bounds the lists that are in memory because they cannot be written, in bytes and
// all together: room for a list of 1.6 million certificates.
const maxInMemory = 64 << 20

// spool takes a download: in a file of its own, or in memory once that cannot be written. A full disk must not
// make a revocation wait.
type spool struct {
	dir     string
	file    *os.File // nil: in memory
	data    []byte   // nil: in the file
	size    int64
	memory  *memory
	notKept error // why it is in memory
}

// newSpool returns an empty spool. Its discard has to be called.
func (f *Fetcher) newSpool() *spool {
	s := &spool{dir: f.config.Dir, memory: &f.memory}
	file, err := os.CreateTemp(s.dir, prefix+"*"+tempSuffix)
	if err != nil {
		s.data, s.notKept = []byte{}, notWritten(s.dir, err)
		return s
	}
	s.file = file
	return s
}

// Write implements io.Writer. It fails only when there is no room in memory either.
func (s *spool) Write(b []byte) (int, error) {
	if s.file != nil {
		_, err := s.file.Write(b)
		if err == nil {
			s.size += int64(len(b))
			return len(b), nil
		}
		if err := s.toMemory(err); err != nil {
			return 0, err
		}
	}
	if !s.memory.take(len(b)) {
		return 0, s.noRoom()
	}
	s.data = append(s.data, b...)
	s.size += int64(len(b))
	return len(b), nil
}

// toMemory takes back what was written to the file, which cannot be used for the reason given.
func (s *spool) toMemory(reason error) error {
	s.notKept = notWritten(s.dir, reason)
	defer s.removeFile()
	if !s.memory.take(int(s.size)) {
		return s.noRoom()
	}
	s.data = make([]byte, s.size)
	_, err := s.file.ReadAt(s.data, 0)
	return err
}

func (s *spool) noRoom() error {
	return fmt.Errorf("%w, and lists in memory may have %d bytes at most", s.notKept, maxInMemory)
}

// sync has the disk take the file, if there is one.
func (s *spool) sync() error {
	if s.file == nil {
		return nil
	}
	return s.file.Sync()
}

// name returns the path of the file, "" if the download is in memory.
func (s *spool) name() string {
	if s.file == nil {
		return ""
	}
	return s.file.Name()
}

// is reports whether what is in memory has a hash.
func (s *spool) is(sum [sha256.Size]byte) bool { return sha256.Sum256(s.data) == sum }

// moveTo makes the file another one, or takes it back into memory. In the latter case data is what is there.
func (s *spool) moveTo(path string) (data []byte, err error) {
	if s.file != nil {
		err := os.Rename(s.file.Name(), path)
		if err == nil {
			return nil, nil
		}
		if err := s.toMemory(err); err != nil {
			return nil, err
		}
	}
	data, s.data = s.data, nil // whose memory is the caller's to give back
	return data, nil
}

// discard gives back what has not been moved elsewhere.
func (s *spool) discard() {
	s.removeFile()
	s.memory.give(len(s.data))
	s.data = nil
}

func (s *spool) removeFile() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
		s.file = nil
	}
}

// memory counts the bytes of lists that are in memory.
type memory struct{ used atomic.Int64 }

// take reports whether there is room for so many bytes more, and counts them if so.
func (m *memory) take(n int) bool {
	if m.used.Add(int64(n)) <= maxInMemory {
		return true
	}
	m.give(n)
	return false
}

func (m *memory) give(n int) { m.used.Add(-int64(n)) }

// notWritten names the directory that cannot be written to. It leaves out the name of a file, which is another one
// each time.
func notWritten(dir string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	} else if link := (*os.LinkError)(nil); errors.As(err, &link) {
		err = link.Err
	}
	return fmt.Errorf("writing to %s: %w", dir, err)
}
