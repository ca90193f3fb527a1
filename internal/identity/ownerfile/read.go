// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerfile

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/vernegate/vernegate/internal/pace"
)

const (
	// maxSize bounds a file, in bytes: five million lines, and an end to reading what is no such file at all.
	maxSize = 512 << 20

	// yieldEvery is how many lines are read between two looks at the throttle.
	yieldEvery = 64

	// maxNamed is how many bad lines an error names, and how many odd ones a Version.
	maxNamed = 10
)

// What can be wrong with a file as a whole.
var (
	errEmpty = errors.New("the file is empty: it may be about to be written (a line with # makes it a map without owners)")
	errCut   = errors.New("the last line does not end: the file may be cut, or still be written")
	errMoved = errors.New("the file was changed while it was read")
)

// A digest is the SHA-256 of a file's bytes.
type digest [sha256.Size]byte

// A file is one that is open, and what is to be known before it is read.
type file struct {
	*os.File
	digest digest
	lines  int // that are no comments
	owners int // bytes of all lines, an upper bound of those of their owners
}

// open opens a regular file and reads it once, for what it takes to read it in one go: its hash, and how much there
// is of it. Its owner closes it.
func open(path string, t *pace.Throttle) (*file, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // to open a pipe would be to wait for its writer
	if err != nil {
		return nil, err
	}
	opened := &file{File: f}
	if err := opened.survey(t); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return opened, nil
}

// survey reads the file for the first time.
func (f *file) survey(t *pace.Throttle) error {
	info, err := f.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is no regular file")
	case info.Size() > maxSize:
		return fmt.Errorf("it has %d bytes, more than %d", info.Size(), maxSize)
	}
	hash, lines := sha256.New(), new(lineCounter)
	size, err := io.Copy(io.MultiWriter(hash, lines), f.reader(t))
	switch {
	case err != nil:
		return err
	case size == 0:
		return errEmpty
	case lines.open:
		return errCut
	}
	hash.Sum(f.digest[:0])
	f.lines, f.owners = lines.n, lines.owners
	return nil
}

// reader reads the file from its start, and may pause in between. It reads no more than a file may have.
func (f *file) reader(t *pace.Throttle) io.Reader {
	return t.Reader(io.NewSectionReader(f, 0, maxSize+1))
}

// lineCounter counts the lines that are written to it.
type lineCounter struct {
	n      int  // that are no comments
	owners int  // bytes behind the last blank of these
	open   bool // the last one has not ended

	comment bool // the line under way
	said    bool // something: it has a character that is no blank
	word    int  // bytes behind its last blank
}

func (c *lineCounter) Write(b []byte) (int, error) {
	for _, char := range b {
		switch {
		case char == '\n':
			if c.said && !c.comment {
				c.n++
				c.owners += c.word
			}
			*c = lineCounter{n: c.n, owners: c.owners}
			continue
		case char == ' ' || char == '\t':
			c.word = 0
		case !c.said:
			c.said, c.comment, c.word = true, char == '#', 1
		default:
			c.word++
		}
		c.open = true
	}
	return len(b), nil
}

// A version is a table and what it was read from.
type version struct {
	*Table
	digest digest
	odd    oddities
}

// oddities are lines that count and do not help anybody.
type oddities struct {
	n     int
	first []string // with their numbers
}

func (o *oddities) add(number int, err error) {
	if o.n++; o.n <= maxNamed {
		o.first = append(o.first, fmt.Sprintf("line %d: %v", number, err))
	}
}

// list returns the lines as an error, nil if there are none.
func (o *oddities) err() error {
	if o.n == 0 {
		return nil
	}
	var all []error
	for _, text := range o.first {
		all = append(all, errors.New(text))
	}
	if more := o.n - len(o.first); more > 0 {
		all = append(all, fmt.Errorf("and %d more lines", more))
	}
	return errors.Join(all...)
}

// read reads the lines of a file. check says what is wrong with an owner; a line whose owner is no good counts
// nevertheless, so that nobody else is asked about the certificate. An error names the first bad lines.
func (f *file) read(check func(owner string) error, t *pace.Throttle) (*version, error) {
	hash := sha256.New()
	scanner := bufio.NewScanner(io.TeeReader(f.reader(t), hash))
	scanner.Buffer(nil, maxLine)
	v := &version{Table: newTable(f.lines, f.owners), digest: f.digest}
	var bad oddities
	number := 0
	for scanner.Scan() {
		if number++; number%yieldEvery == 0 {
			t.Yield()
		}
		if line := scanner.Bytes(); !isComment(line) {
			if v.Len() == f.lines {
				return nil, errMoved
			}
			if err := v.addLine(number, line, check); err != nil {
				bad.add(number, err)
			}
		}
	}
	if errors.Is(scanner.Err(), bufio.ErrTooLong) {
		bad.add(number+1, fmt.Errorf("it is longer than %d bytes", maxLine))
		return nil, bad.err()
	}
	if err := scanner.Err(); err != nil {
		return nil, err
	}
	if !bytes.Equal(hash.Sum(nil), f.digest[:]) {
		return nil, errMoved
	}
	return v, bad.err()
}

// addLine enters a line. The same line may come again; another owner of the same key may not.
func (v *version) addLine(number int, line []byte, check func(owner string) error) error {
	k, isSubject, owner, err := parseLine(line)
	if err != nil {
		return err
	}
	if before, is := v.find(k); is {
		if !bytes.Equal(before, owner) {
			return errors.New("the key has another owner in a line before")
		}
		return nil
	}
	v.add(k, owner)
	if isSubject {
		v.subjects++
	}
	if check != nil {
		if err := check(string(owner)); err != nil {
			v.odd.add(number, err)
		}
	}
	return nil
}
