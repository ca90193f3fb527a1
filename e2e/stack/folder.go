// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Set is one content of the files that vernegate reads, all PEM.
type Set struct {
	Key, Cert []byte // of the server
	CA        []byte // the server's own CA, which vernegate does not read
	Bundle    []byte // every CA that devices may come from
	CRL       []byte
}

// file is one file of a Set.
type file struct {
	name    string
	content []byte
}

// files are the files of a Set in the order in which cert-sidecar writes them.
func (s Set) files() []file {
	return []file{
		{"server.key", s.Key},
		{"server.crt", s.Cert},
		{"ca.crt", s.CA},
		{"bundle.crt", s.Bundle},
		{"ca.crl", s.CRL},
	}
}

// Folder is a directory in which vernegate finds its files. Its methods write a
// whole Set, each as another program would; one writer at a time.
type Folder string

// Env is the part of vernegate's environment that names the files.
func (f Folder) Env() map[string]string {
	return map[string]string{
		"VERNEGATE_TLS_KEY":  f.path("server.key"),
		"VERNEGATE_TLS_CERT": f.path("server.crt"),
		"VERNEGATE_TLS_CA":   f.path("bundle.crt"),
		"VERNEGATE_TLS_CRL":  f.path("ca.crl"),
	}
}

func (f Folder) path(name string) string { return filepath.Join(string(f), name) }

// Rewrite writes as cert-sidecar does: every file in place, one after the other,
// truncated first. pause is called at the moments that matter to a reader: it then
// sees an empty file, one with the first byte alone, half a file, a file that ends
// between two PEM blocks and so looks whole, a file without its last byte, and a new
// file beside old ones. nil does not pause.
func (f Folder) Rewrite(s Set, pause func()) error {
	if pause == nil {
		pause = func() {}
	}
	for _, file := range s.files() {
		if err := rewrite(f.path(file.name), file.content, pause); err != nil {
			return fmt.Errorf("rewriting %s: %w", file.name, err)
		}
		pause()
	}
	return nil
}

// rewrite writes one file in place, in pieces.
func rewrite(path string, content []byte, pause func()) error {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer w.Close()
	written := 0
	for _, end := range boundaries(content) {
		pause()
		if _, err := w.Write(content[written:end]); err != nil {
			return err
		}
		written = end
	}
	return w.Close()
}

// pemEnd is the last line of a PEM block.
var pemEnd = regexp.MustCompile(`-----END [A-Z0-9 ]+-----\n`)

// boundaries are the lengths that a file has at the moments that matter, the whole
// last.
func boundaries(content []byte) []int {
	ends := []int{min(1, len(content)), len(content) / 2, max(0, len(content)-1), len(content)}
	for _, block := range pemEnd.FindAllIndex(content, -1) {
		ends = append(ends, block[1])
	}
	slices.Sort(ends)
	return slices.Compact(ends)
}

// Rename writes every file beside its old self and renames it into place.
func (f Folder) Rename(s Set) error {
	for _, file := range s.files() {
		fresh := f.path("." + file.name + ".new")
		if err := os.WriteFile(fresh, file.content, 0o600); err != nil {
			return err
		}
		if err := os.Rename(fresh, f.path(file.name)); err != nil {
			return err
		}
	}
	return nil
}

// Swap writes as Kubernetes fills the volume of a Secret: the files lie in a
// directory of their own, the symbolic link ..data names it and is replaced by a
// rename, and each file is a symbolic link into ..data. The old directory goes.
func (f Folder) Swap(s Set) error {
	fresh, err := os.MkdirTemp(string(f), "..2006_01_02_")
	if err != nil {
		return err
	}
	for _, file := range s.files() {
		if err := os.WriteFile(filepath.Join(fresh, file.name), file.content, 0o600); err != nil {
			return err
		}
	}
	old, err := f.turn(filepath.Base(fresh))
	if err != nil {
		return err
	}
	for _, file := range s.files() {
		if err := f.link(file.name); err != nil {
			return err
		}
	}
	if old == "" {
		return nil
	}
	return os.RemoveAll(f.path(old))
}

// turn makes ..data name target and returns what it named before, "" for nothing.
func (f Folder) turn(target string) (old string, err error) {
	old, _ = os.Readlink(f.path("..data")) // the first time there is none
	if err := os.Symlink(target, f.path("..data_tmp")); err != nil {
		return "", err
	}
	return old, os.Rename(f.path("..data_tmp"), f.path("..data"))
}

// link makes name a symbolic link into ..data unless it is there.
func (f Folder) link(name string) error {
	if _, err := os.Lstat(f.path(name)); err == nil {
		return nil
	}
	return os.Symlink(filepath.Join("..data", name), f.path(name))
}
