// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// eachList calls visit for every list in a file of CRLs, with its DER: that of
// each of its PEM blocks, or the file itself. visit may stop reading anywhere.
// The error tells everything that is wrong with the lists, or where the file is
// no PEM any more.
func eachList(file *source, p *pace, visit func(der io.Reader) error) error {
	in := bufio.NewReaderSize(file.contents(p), pieceSize)
	var mistakes []error
	n := 0
	list := func(der io.Reader) {
		n++
		if err := visit(der); err != nil {
			mistakes = append(mistakes, fmt.Errorf("CRL file %s: list %d: %w", file.Path, n, err))
		}
	}
	begin, err := in.Peek(2)
	switch {
	case len(begin) == 0 && err == io.EOF:
		return fmt.Errorf("CRL file %s is empty", file.Path)
	case isDER(begin):
		list(in)
		return errors.Join(mistakes...)
	}
	stream := newPEMStream(in)
	blocks := 0
	for kind, err := stream.next(); err != io.EOF; kind, err = stream.next() {
		if err == nil {
			blocks++
			if kind == pemCRL {
				list(stream)
			} else {
				mistakes = append(mistakes, fmt.Errorf("CRL file %s: PEM block %d: type %q does not belong here", file.Path, blocks, kind))
			}
			_, err = io.Copy(io.Discard, stream)
		}
		if err != nil {
			return fmt.Errorf("CRL file %s: %w", file.Path, err)
		}
	}
	if blocks == 0 {
		return fmt.Errorf("CRL file %s: list 1: %w", file.Path, errMalformedCRL)
	}
	return errors.Join(mistakes...)
}

// isDER tells a list in DER from text by its first two bytes: a SEQUENCE of more
// than 127 bytes, as every signed list is, and less than 4 GiB. No text in ASCII
// or UTF-8 begins so.
func isDER(begin []byte) bool {
	return len(begin) == 2 && begin[0] == 0x30 && 0x81 <= begin[1] && begin[1] <= 0x84
}
