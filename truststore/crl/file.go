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

// Errors of Read about files that hold no list, as one does that is about to be written.
var (
	errEmpty  = errors.New("it is empty")
	errNoList = errors.New("it holds no certificate revocation list")
)

// Read calls visit for every list in a file: that of each of its PEM blocks, or the file itself, which is then DER.
// visit gets what Parse returns, with an error that says which list it is about; for a PEM block of another type, the
// list is nil and the error is ErrUnsupported. The error of Read says why there is nothing to read, or where the file is
// no PEM: it may end there or be in the middle of being written. The lists before and behind that place have been visited.
func Read(file io.Reader, t *pace.Throttle, visit func(*List, error)) error {
	n := 0
	parse := func(der io.Reader) (*List, error) {
		n++
		list, err := Parse(der, t)
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
	stream := newPEMStream(in)
	blocks, lists := 0, 0
	for {
		kind, err := stream.next()
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		blocks++
		list, wrong := (*List)(nil), error(unsupported(fmt.Sprintf("PEM block %d: type %q does not belong here", blocks, kind)))
		if kind == pemCRL {
			list, wrong = parse(stream)
			lists++
		}
		switch _, err := io.Copy(io.Discard, stream); {
		case err == nil:
			visit(list, wrong)
		case !errors.Is(err, errBroken):
			return err
		}
	}
	if stream.wrong == nil && lists == 0 {
		return errNoList
	}
	return stream.wrong
}

// isDER tells a list in DER from text by its first bytes: a SEQUENCE of more than 127 bytes, as every signed list is,
// and less than 4 GiB. No text in ASCII or UTF-8 begins so.
func isDER(begin []byte) bool {
	return len(begin) >= 2 && begin[0] == 0x30 && 0x81 <= begin[1] && begin[1] <= 0x84
}
