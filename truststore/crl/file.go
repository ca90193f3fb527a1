// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bufio"
	"errors"
	"fmt"
	"io"

	"github.com/vernegate/vernegate/internal/pace"
	"github.com/vernegate/vernegate/internal/pki"
)

// pemCRL is the type of PEM blocks that hold a list (RFC 7468 §6).
const pemCRL = "X509 CRL"

// maxBlocks bounds the PEM blocks of a file. What is said of each is kept, and whoever may answer for a CA's server chooses how
// many there are.
const maxBlocks = 10_000

// Errors of Read about files that hold no list, as one does that is about to be written.
var (
	errEmpty  = errors.New("it is empty")
	errNoList = errors.New("it holds no certificate revocation list")
	errBlocks = fmt.Errorf("it holds more than %d PEM blocks", maxBlocks)
)

// Read calls visit for every list in a file: that of each of its PEM blocks, or the file itself, which is then DER.
// visit gets what Parse returns, with an error that says which list it is about; if there are PEM blocks of other types, it
// is called once more for all of them, with no list and ErrUnsupported. The error of Read says why there is nothing to read, or
// where the file is no PEM: it may end there or be in the middle of being written. The lists before and behind that place have
// been visited. Behind 10 000 blocks nothing is read.
func Read(file io.Reader, t *pace.Throttle, visit func(*List, error)) error {
	n := 0
	parse := func(der io.Reader) (*List, error) {
		n++
		list, err := Parse(der, t)
		if list != nil {
			list.Place = n
		}
		if err != nil {
			err = fmt.Errorf("list %d: %w", n, err)
		}
		return list, err
	}
	return eachList(file, parse, visit)
}

func eachList(file io.Reader, parse func(der io.Reader) (*List, error), visit func(*List, error)) error {
	in := bufio.NewReaderSize(file, pieceSize)
	begin, err := in.Peek(3)
	switch {
	case len(begin) == 0 && err == io.EOF:
		return errEmpty
	case isDER(begin):
		visit(parse(in))
		return nil
	}
	_, _ = in.Discard(len(begin) - len(pki.WithoutBOM(begin)))
	stream, block := newPEMStream(in), bufio.NewReaderSize(nil, pieceSize)
	lists, others := 0, foreign{}
	defer func() { others.tell(visit) }()
	for n := 1; ; n++ {
		kind, err := stream.next()
		switch {
		case err == io.EOF && stream.wrong == nil && lists == 0:
			return errNoList
		case err == io.EOF:
			return stream.wrong
		case err != nil:
			return err
		case n > maxBlocks:
			return errBlocks
		}
		list, wrong := (*List)(nil), error(nil)
		if kind == pemCRL {
			block.Reset(stream)
			list, wrong = parse(block)
			lists++
		}
		switch _, err := io.Copy(io.Discard, stream); {
		case err != nil && !errors.Is(err, errBroken):
			return err
		case err != nil: // stream.wrong tells
		case kind == pemCRL:
			visit(list, wrong)
		default:
			others.add(n, kind)
		}
	}
}

// foreign are the PEM blocks that hold no list.
type foreign struct {
	count int
	first string // what is said of it
}

func (f *foreign) add(n int, kind string) {
	if f.count++; f.count == 1 {
		f.first = fmt.Sprintf("PEM block %d: type %q does not belong here", n, pki.Clip([]byte(kind)))
	}
}

// tell calls visit about all of them, if there are any.
func (f *foreign) tell(visit func(*List, error)) {
	switch f.count {
	case 0:
	case 1:
		visit(nil, unsupported(f.first))
	default:
		visit(nil, unsupported(fmt.Sprintf("%s, as well as %d more", f.first, f.count-1)))
	}
}

// isDER tells a list in DER from text by its first bytes: a SEQUENCE of more than 127 bytes, as every signed list is,
// and less than 4 GiB. No text in ASCII or UTF-8 begins so.
func isDER(begin []byte) bool {
	return len(begin) >= 2 && begin[0] == 0x30 && 0x81 <= begin[1] && begin[1] <= 0x84
}
