// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"
)

// maxFileSize bounds what is read of one file: room for a CRL of ten million
// entries, and an end to reading what is no such file at all.
const maxFileSize = 512 << 20

// File is one file that a generation was built from.
type File struct {
	Path   string
	SHA256 [sha256.Size]byte
}

// source is one file as it was read, or the reason why it was not.
type source struct {
	File
	data     []byte
	modified time.Time
	err      error
}

// absent tells whether there was no such file.
func (s *source) absent() bool { return errors.Is(s.err, fs.ErrNotExist) }

// fileSet is one read of all files.
type fileSet struct {
	certs, keys, cas, crls, ticketKeys []source
}

// readFiles reads every file once. What went wrong is kept with the file it
// went wrong for, so that it is reported together with all other mistakes.
func readFiles(c *Config) *fileSet {
	return &fileSet{
		certs: readAll(c.Certs),
		keys:  readAll(c.Keys),
		cas:   readAll(c.CAs),
		crls:  readAll(c.CRLs),

		ticketKeys: readAll(c.TicketKeys),
	}
}

func readAll(paths []string) []source {
	sources := make([]source, len(paths))
	for i, path := range paths {
		sources[i] = readFile(path)
	}
	return sources
}

func readFile(path string) source {
	s := source{File: File{Path: path}}
	s.data, s.modified, s.err = readBounded(path)
	if s.err == nil {
		s.SHA256 = sha256.Sum256(s.data)
	}
	return s
}

func readBounded(path string) ([]byte, time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if info.Size() > maxFileSize {
		return nil, time.Time{}, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), maxFileSize)
	}
	// One byte more than the file has, to see its end without growing.
	data := make([]byte, 0, info.Size()+1)
	for {
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case err == io.EOF:
			return data, info.ModTime(), nil
		case err != nil:
			return nil, time.Time{}, err
		case len(data) > maxFileSize:
			return nil, time.Time{}, fmt.Errorf("%s has more than %d bytes", path, maxFileSize)
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
