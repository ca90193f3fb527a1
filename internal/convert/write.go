// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of what is written. The user that runs the broker has to read its files; the
// environment may hold a secret.
const (
	folderMode = 0o755
	fileMode   = 0o644
	secretMode = 0o600
)

// Write makes a new folder with the result. Either the whole folder is there
// afterwards or nothing is: it is filled under another name beside it, and
// renamed. A folder that exists is left alone.
func (r *Result) Write(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return &fs.PathError{Op: "writing", Path: dir, Err: fs.ErrExist}
	}
	fresh, err := os.MkdirTemp(filepath.Dir(filepath.Clean(dir)), ".vernegate-convert-")
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	defer os.RemoveAll(fresh)
	if err := r.fill(fresh); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// Replace is Write for a folder that an earlier Write may have made. It takes
// nothing away but what Write writes: where there is more in the folder, it
// fails and the rest stays.
func (r *Result) Replace(dir string) error {
	for _, f := range r.files() {
		if err := os.Remove(filepath.Join(dir, f.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replacing: %w", err)
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replacing: %w", err)
	}
	return r.Write(dir)
}

// file is one of the folder's.
type file struct {
	name    string
	content []byte
	mode    fs.FileMode
}

func (r *Result) files() []file {
	return []file{
		{"vernemq.conf", r.Conf, fileMode},
		{"vmq.acl", r.ACL, fileMode},
		{"vernegate.env", r.Env, secretMode},
		{"REPORT.md", r.Report, fileMode},
	}
}

// fill writes the files into a folder.
func (r *Result) fill(dir string) error {
	for _, f := range r.files() {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	return os.Chmod(dir, folderMode)
}
