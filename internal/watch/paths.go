// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks ends a loop of symbolic links, as the kernel's limit does.
const maxLinks = 40

// watchPaths returns the paths whose change means that path may lead to another
// file: every symbolic link on the way and the file itself, or the first that
// does not exist. They contain no links but at their end.
func watchPaths(path string) []string {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil // there is no working directory
	}
	var marks []string
	at, rest := "/", components(path)
	for links := 0; len(rest) > 0 && links < maxLinks; {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		info, err := os.Lstat(next)
		switch {
		case err != nil:
			return append(marks, next)
		case info.Mode()&os.ModeSymlink != 0:
			marks = append(marks, next)
			links++
			target, err := os.Readlink(next)
			if err != nil {
				return marks
			}
			if filepath.IsAbs(target) {
				at = "/"
			}
			rest = slices.Concat(components(target), rest)
		case len(rest) == 0:
			marks = append(marks, next)
		default:
			at = next
		}
	}
	return marks
}

func components(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}
