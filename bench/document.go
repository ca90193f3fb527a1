// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
)

// rewrite replaces what stands in a document between the marks of that name.
func rewrite(file, mark, content string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text, err = replaceBetween(text, mark, content)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, text, 0o644)
}

func replaceBetween(text []byte, mark, content string) ([]byte, error) {
	begin, end := fmt.Appendf(nil, "<!-- begin %s -->\n", mark), fmt.Appendf(nil, "<!-- end %s -->", mark)
	before, rest, found := bytes.Cut(text, begin)
	if !found {
		return nil, fmt.Errorf("there is no %s", bytes.TrimSpace(begin))
	}
	_, after, found := bytes.Cut(rest, end)
	if !found {
		return nil, fmt.Errorf("there is no %s", end)
	}
	return bytes.Join([][]byte{before, begin, []byte(content), end, after}, nil), nil
}
