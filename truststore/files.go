// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
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
	data     []byte
	large    *os.File // instead of data
	size     int64    // of large
	modified time.Time
	err      error
}

// absent tells whether there was no such file.
func (s *source) absent() bool { return errors.Is(s.err, fs.ErrNotExist) }

// contents reads what the file held when it was first read.
func (s *source) contents(p *pace) io.Reader {
	if s.large == nil {
		return bytes.NewReader(s.data)
	}
	return &pacedReader{io.NewSectionReader(s.large, 0, s.size), p}
}

// unchanged returns an error if contents may have told something else than
// what was read first.
func (s *source) unchanged() error {
	if s.large == nil {
		return nil
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

// pacedReader reads pieces and rests in between.
type pacedReader struct {
	io.Reader
	pace *pace
}

func (r *pacedReader) Read(b []byte) (int, error) {
	r.pace.breathe()
	return r.Reader.Read(b[:min(len(b), pieceSize)])
}

// fileSet is one read of all files. It has to be closed.
type fileSet struct {
	certs, keys, cas, crls, ticketKeys []source
}

// readFiles reads every file once. What went wrong is kept with the file it
// went wrong for, so that it is reported together with all other mistakes.
func readFiles(c *Config, p *pace) *fileSet {
	return &fileSet{
		certs: readAll(c.Certs, maxFileSize, p),
		keys:  readAll(c.Keys, maxFileSize, p),
		cas:   readAll(c.CAs, maxFileSize, p),
		crls:  readAll(c.CRLs, keptSize, p),

		ticketKeys: readAll(c.TicketKeys, maxFileSize, p),
	}
}

// close must not be called before what was built from the set is complete.
func (set *fileSet) close() {
	for _, s := range set.crls {
		if s.large != nil {
			_ = s.large.Close()
		}
	}
}

func readAll(paths []string, kept int64, p *pace) []source {
	sources := make([]source, len(paths))
	for i, path := range paths {
		sources[i] = readFile(path, kept, p)
	}
	return sources
}

// readFile reads a file, and keeps it open if it has more bytes than kept.
func readFile(path string, kept int64, p *pace) source {
	s := source{File: File{Path: path}}
	f, err := os.Open(path)
	if err != nil {
		s.err = err
		return s
	}
	if s.err = s.read(f, kept, p); s.large == nil {
		_ = f.Close()
	}
	return s
}

func (s *source) read(f *os.File, kept int64, p *pace) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s.modified = info.ModTime()
	switch {
	case info.Size() > maxFileSize:
		return fmt.Errorf("%s has %d bytes, more than %d", s.Path, info.Size(), maxFileSize)
	case info.Size() > kept && info.Mode().IsRegular():
		s.large, s.size = f, info.Size()
		return s.digest(p)
	}
	if s.data, err = readBounded(f, info.Size()); err != nil {
		return err
	}
	s.SHA256 = sha256.Sum256(s.data)
	return nil
}

// digest reads a large file for its hash.
func (s *source) digest(p *pace) error {
	digest := sha256.New()
	if _, err := io.Copy(digest, s.contents(p)); err != nil {
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

// files returns what there was to read, with no hash where that failed. Two
// sets with equal files are the same set.
func (set *fileSet) files() []File {
	var files []File
	for _, s := range set.sources() {
		if !s.absent() {
			files = append(files, s.File)
		}
	}
	return files
}

// modified returns when the youngest file was written.
func (set *fileSet) modified() time.Time {
	var youngest time.Time
	for _, s := range set.sources() {
		if s.modified.After(youngest) {
			youngest = s.modified
		}
	}
	return youngest
}
