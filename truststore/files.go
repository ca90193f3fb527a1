// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/internal/pace"
)

const (
	// maxFileSize bounds what is read of one file: room for a CRL of ten
	// million entries, and an end to reading what is no such file at all.
	maxFileSize = 512 << 20

	// keptSize is up to where a file of CRLs is kept as it was read. A larger
	// one is read once to see whether it is another one, and once more if so:
	// it would take more memory than what is learned from it.
	keptSize = 1 << 20
)

// File is one file that a generation was built from.
type File struct {
	Path   string
	SHA256 [sha256.Size]byte
}

// source is one file as it was read, or the reason why it was not.
type source struct {
	File
	remote   *Remote     // nil for a file of the configuration
	known    []*listFile // that were read from the same place before
	info     os.FileInfo
	data     []byte
	large    *os.File // instead of data
	size     int64    // of large
	modified time.Time
	failed   error // what contents could not be read for
	err      error
}

// contents reads what the file held when it was first read.
func (s *source) contents(t *pace.Throttle) io.Reader {
	if s.large == nil {
		return bytes.NewReader(s.data)
	}
	return t.Reader(&failureNoting{io.NewSectionReader(s.large, 0, s.size), &s.failed})
}

// failureNoting keeps the error of a reader.
type failureNoting struct {
	io.Reader
	failed *error
}

func (r *failureNoting) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if err != nil && err != io.EOF {
		*r.failed = err
	}
	return n, err
}

// unchanged returns an error if contents may have returned something else than
// what was read first, or not all of it.
func (s *source) unchanged() error {
	if s.large == nil || s.failed != nil {
		return s.failed
	}
	info, err := s.large.Stat()
	if err != nil {
		return err
	}
	if info.Size() != s.size || !info.ModTime().Equal(s.modified) {
		return fmt.Errorf("%s was changed while it was read", s.Path)
	}
	return nil
}

// fileSet is one read of all files. It has to be closed.
type fileSet struct {
	certs, keys, cas, crls, ticketKeys []source
}

// readFiles reads every file once. known returns what was read before under the name of a list that is fetched. What went wrong is kept with the file it
// went wrong for, so that it is reported together with all other mistakes.
func readFiles(c *Config, known func(name string) []*listFile, t *pace.Throttle) *fileSet {
	set := &fileSet{
		certs: readAll(c.Certs, maxFileSize, t),
		keys:  readAll(c.Keys, maxFileSize, t),
		cas:   readAll(c.CAs, maxFileSize, t),
		crls:  readAll(c.CRLs, keptSize, t),

		ticketKeys: readAll(c.TicketKeys, maxFileSize, t),
	}
	if c.Remotes != nil {
		for _, remote := range c.Remotes() {
			set.crls = append(set.crls, readRemote(remote, known(remote.Name), t))
		}
	}
	return set
}

// close must not be called before what was built from the set is complete.
func (set *fileSet) close() {
	for i := range set.crls {
		set.crls[i].close()
	}
}

// hasList reports whether a file of lists is among those that were read, readable or not.
func (set *fileSet) hasList(path string) bool {
	return slices.ContainsFunc(set.crls, func(s source) bool { return s.Path == path })
}

func (s *source) close() {
	if s.large != nil {
		_ = s.large.Close()
	}
}

func readAll(paths []string, kept int64, t *pace.Throttle) []source {
	sources := make([]source, len(paths))
	for i, path := range paths {
		sources[i] = readFile(path, kept, t)
	}
	return sources
}

// readRemote reads a list that was fetched. It counts as old: its writer renames.
func readRemote(remote Remote, known []*listFile, t *pace.Throttle) source {
	s := source{remote: &remote, known: known}
	if remote.Data != nil {
		s.File, s.data, s.known = File{remote.Name, remote.SHA256}, remote.Data, nil
		return s
	}
	s.open(remote.File, keptSize, t)
	s.Path, s.known = remote.Name, nil
	return s
}

// readFile reads a file, and keeps it open if it has more bytes than kept.
func readFile(path string, kept int64, t *pace.Throttle) source {
	var s source
	s.open(path, kept, t)
	return s
}

func (s *source) open(path string, kept int64, t *pace.Throttle) {
	s.Path = path
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would be to wait for its writer
	if err != nil {
		s.err = err
		return
	}
	if s.err = s.read(f, kept, t); s.large == nil {
		_ = f.Close()
	}
}

func (s *source) read(f *os.File, kept int64, t *pace.Throttle) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.modified, s.info = info.ModTime(), info
	switch {
	case info.Mode()&os.ModeNamedPipe != 0:
		return fmt.Errorf("%s is a pipe, expected a file", s.Path)
	case info.Size() > maxFileSize:
		return fmt.Errorf("%s has %d bytes, more than %d", s.Path, info.Size(), maxFileSize)
	case info.Size() > kept && info.Mode().IsRegular():
		s.large, s.size = f, info.Size()
		if s.recognize() {
			return nil
		}
		return s.digest(t)
	}
	if s.data, err = readBounded(f, info.Size()); err != nil {
		return err
	}
	s.SHA256 = sha256.Sum256(s.data)
	return nil
}

// recognize reports whether a large file is one that was read before, and takes its hash from there. It is for files that
// are replaced by renaming, and never written to.
func (s *source) recognize() bool {
	for _, k := range s.known {
		if k != nil && k.info != nil && os.SameFile(k.info, s.info) && k.info.Size() == s.info.Size() && k.info.ModTime().Equal(s.info.ModTime()) {
			s.SHA256 = k.SHA256
			return true
		}
	}
	return false
}

// digest reads a large file for its hash.
func (s *source) digest(t *pace.Throttle) error {
	digest := sha256.New()
	if _, err := io.Copy(digest, s.contents(t)); err != nil {
		return err
	}
	s.SHA256 = [sha256.Size]byte(digest.Sum(nil))
	return nil
}

// readBounded reads a file of about the given size.
func readBounded(f *os.File, size int64) ([]byte, error) {
	// One byte more than the file has, to see its end without growing.
	data := make([]byte, 0, size+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, nil
		case err != nil:
			return nil, err
		case len(data) > maxFileSize:
			return nil, fmt.Errorf("%s has more than %d bytes", f.Name(), maxFileSize)
		case len(data) == cap(data):
			data = slices.Grow(data, len(data))
		}
	}
}

// sources returns all files of the set.
func (set *fileSet) sources() []source {
	return slices.Concat(set.certs, set.keys, set.cas, set.crls, set.ticketKeys)
}

// modified returns when the youngest file was written.
func (set *fileSet) modified() time.Time {
	var youngest time.Time
	for _, s := range set.sources() {
		if s.remote == nil && s.modified.After(youngest) {
			youngest = s.modified
		}
	}
	return youngest
}
