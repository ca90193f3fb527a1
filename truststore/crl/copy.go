// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"encoding/base64"
	"fmt"
	"io"
	"slices"

	"github.com/vernegate/vernegate/internal/pace"
)

// lineSize is how many bytes a line of PEM is made of (RFC 7468 §2).
const lineSize = 48

// Copy writes some of the lists that Read finds in a file to another one, as PEM: those with these places, which are in
// ascending order. It fails unless all of them were written.
func Copy(to io.Writer, file io.Reader, places []int, t *pace.Throttle) error {
	if len(places) == 0 {
		return nil
	}
	n := 0
	var wrong error
	copyOne := func(der io.Reader) (*List, error) {
		n++
		if wrong == nil && len(places) > 0 && places[0] == n {
			places = places[1:]
			wrong = writePEM(to, der, t)
		}
		return nil, nil
	}
	err := eachList(file, copyOne, func(*List, error) {})
	switch {
	case wrong != nil:
		return wrong
	case len(places) > 0 && err != nil:
		return err
	case len(places) > 0:
		return fmt.Errorf("there is no list %d", places[0])
	}
	return nil // what else may be wrong with the file is not with these lists
}

// writePEM writes one list.
func writePEM(to io.Writer, der io.Reader, t *pace.Throttle) error {
	if _, err := fmt.Fprintf(to, "-----BEGIN %s-----\n", pemCRL); err != nil {
		return err
	}
	piece, text := make([]byte, 512*lineSize), []byte(nil)
	for {
		n, err := io.ReadFull(der, piece)
		text = text[:0]
		for line := range slices.Chunk(piece[:n], lineSize) {
			text = append(base64.StdEncoding.AppendEncode(text, line), '\n')
		}
		if _, err := to.Write(text); err != nil {
			return err
		}
		switch {
		case err == io.EOF || err == io.ErrUnexpectedEOF:
			_, err = fmt.Fprintf(to, "-----END %s-----\n", pemCRL)
			return err
		case err != nil:
			return err
		}
		t.Yield()
	}
}
