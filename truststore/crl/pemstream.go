// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vernegate/vernegate/internal/pki"
)

var (
	pemDashes = []byte("-----")
	pemBegin  = []byte("-----BEGIN ")
	pemEnd    = []byte("-----END ")
)

// errBroken is what Read returns in a block that is broken. What is wrong with it is in the field wrong.
var errBroken = errors.New("the PEM block is broken")

// textSize is how much base64 a pemStream decodes at a time.
const textSize = 4 << 10

// A pemStream reads PEM blocks of any size, one after the other, under the rules
// of pki.ReadPEM but for headers inside of blocks, and white space inside of lines or
// before them, which it does not allow. It is an io.Reader of what the block
// contains that next has found. What is broken is passed over: the blocks behind it are read.
type pemStream struct {
	in    *bufio.Reader
	line  int    // how many have ended
	fresh bool   // a line begins
	err   error  // what Read returns when out is empty; nil inside of a block
	held  []byte // a line that begins a block, which was found where another one had to end; nil = none
	wrong error  // where the text is no PEM first; nil = nowhere so far

	kind   string // of the block
	begun  int    // the line it begins with
	text   []byte // base64 that is not decoded yet
	out    []byte // what is decoded and not read yet
	padded bool   // there was padding: nothing may follow
	room   []byte // for out
}

func newPEMStream(in *bufio.Reader) *pemStream {
	return &pemStream{in: in, fresh: true, err: io.EOF}
}

// next finds the next block, once the one before it is read to its end, and
// returns its type; io.EOF when there is none. Other errors are those of reading.
func (s *pemStream) next() (kind string, err error) {
	for s.held == nil && !s.fresh { // the rest of a line in which a block broke
		if _, err := s.piece(); err != nil {
			return "", err
		}
	}
	for {
		text, whole, err := s.wholeLine()
		if err != nil {
			return "", err
		}
		if kind, ok := beginOfPEM(text); ok {
			s.kind, s.begun = kind, s.line
			s.text, s.out, s.padded, s.err = s.text[:0], nil, false, nil
			return kind, nil
		}
		if pki.IsPieceOfPEM(text, whole) {
			s.note("line %d: %q begins no PEM block", s.line, pki.Clip(text))
		}
	}
}

// beginOfPEM returns the type of the block that a line begins.
func beginOfPEM(line []byte) (kind string, ok bool) {
	after, ok := bytes.CutPrefix(line, pemBegin)
	if !ok {
		return "", false
	}
	after, ok = bytes.CutSuffix(after, pemDashes)
	return string(after), ok
}

// note keeps what is wrong, if it is the first such thing.
func (s *pemStream) note(format string, args ...any) {
	if s.wrong == nil {
		s.wrong = fmt.Errorf(format, args...)
	}
}

// Read implements io.Reader.
func (s *pemStream) Read(b []byte) (int, error) {
	for len(s.out) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.err = s.fill()
	}
	n := copy(b, s.out)
	s.out = s.out[n:]
	return n, nil
}

// fill decodes the next piece into out. io.EOF is the end of the block.
func (s *pemStream) fill() error {
	ended := false
	for !ended && len(s.text) < textSize {
		begins := s.fresh
		text, err := s.piece()
		switch {
		case err == io.EOF:
			s.note("line %d: the PEM block of type %q does not end", s.begun, pki.Clip([]byte(s.kind)))
			return errBroken
		case err != nil:
			return err
		case begins && bytes.HasPrefix(text, pemDashes):
			if ended = s.ends(text); !ended {
				return s.undecodable()
			}
		case s.padded && len(text) > 0:
			return s.undecodable()
		default:
			s.text = append(s.text, text...)
		}
	}
	if err := s.decode(); err != nil {
		return err
	}
	switch {
	case !ended:
		return nil
	case len(s.text) > 0:
		return s.undecodable()
	}
	return io.EOF
}

// ends reports whether a line ends the block. What begins another one is held, whether the line ends this one or not: a
// block may have been cut, or files were joined of which one had no end of line.
func (s *pemStream) ends(line []byte) bool {
	after, ends := bytes.CutPrefix(line, slices.Concat(pemEnd, []byte(s.kind), pemDashes))
	if ends && len(after) == 0 {
		return true
	}
	if _, begins := beginOfPEM(after); !begins {
		return false
	}
	s.held = bytes.Clone(after)
	if ends {
		s.note("line %d: %q ends a PEM block and begins another one", s.line, pki.Clip(line))
	}
	return ends
}

// decode moves what can be decoded of text to out.
func (s *pemStream) decode() error {
	whole := len(s.text) / 4 * 4
	if whole == 0 {
		return nil
	}
	var err error
	if s.room, err = base64.StdEncoding.AppendDecode(s.room[:0], s.text[:whole]); err != nil {
		return s.undecodable()
	}
	s.out = s.room
	s.padded = bytes.IndexByte(s.text[:whole], '=') >= 0 // not the last one perhaps, as base64 skips \r
	s.text = append(s.text[:0], s.text[whole:]...)
	return nil
}

func (s *pemStream) undecodable() error {
	s.note("line %d: the PEM block of type %q does not decode", s.begun, pki.Clip([]byte(s.kind)))
	return errBroken
}

// wholeLine reads a line without trailing white space, or what fits into memory
// of a longer one, and reports whether it had an end.
func (s *pemStream) wholeLine() (text []byte, whole bool, err error) {
	if text = s.held; text != nil {
		s.held = nil
		return text, true, nil
	}
	if text, err = s.piece(); err != nil {
		return nil, false, err
	}
	if s.fresh {
		return text, true, nil
	}
	text = bytes.Clone(pki.Clip(text))
	for !s.fresh {
		if _, err := s.piece(); err == io.EOF {
			s.line++
			return text, false, nil
		} else if err != nil {
			return nil, false, err
		}
	}
	return text, true, nil
}

// piece reads up to the end of the line, without trailing white space, or as
// much as fits into memory. It is valid until the next one.
func (s *pemStream) piece() ([]byte, error) {
	text, err := s.in.ReadSlice('\n')
	s.fresh = err == nil
	if s.fresh {
		s.line++
	}
	if err == bufio.ErrBufferFull || err == io.EOF && len(text) > 0 {
		err = nil
	}
	return bytes.TrimRight(text, " \t\r\n"), err
}
