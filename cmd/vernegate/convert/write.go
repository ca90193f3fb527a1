// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of what is written. Whoever runs the broker has to read its files; the
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

// fill writes the files into a folder.
func (r *Result) fill(dir string) error {
	for _, f := range []struct {
		name    string
		content []byte
		mode    fs.FileMode
	}{
		{"vernemq.conf", r.Conf, fileMode},
		{"vmq.acl", r.ACL, fileMode},
		{"vernegate.env", r.Env, secretMode},
		{"REPORT.md", r.Report, fileMode},
	} {
		if err := os.WriteFile(filepath.Join(dir, f.name), f.content, f.mode); err != nil {
			return err
		}
	}
	return os.Chmod(dir, folderMode)
}
