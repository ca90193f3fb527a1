// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestArchiveDependsOnContentAlone(t *testing.T) {
	t.Parallel()
	then := time.Date(2026, 11, 26, 15, 0, 0, 0, time.UTC)
	var archives [][]byte
	for i := range 2 {
		path := filepath.Join(t.TempDir(), "binary")
		if err := os.WriteFile(path, []byte("bytes"), 0o600+os.FileMode(i)); err != nil {
			t.Fatal(err)
		}
		content, err := archive("folder", []member{{"bin/binary", path, 0o755}}, then)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, content)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same content differ")
	}
	compressed, err := gzip.NewReader(bytes.NewReader(archives[0]))
	if err != nil {
		t.Fatal(err)
	}
	r := tar.NewReader(compressed)
	header, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	content, _ := io.ReadAll(r)
	if header.Name != "folder/bin/binary" || header.Mode != 0o755 || !header.ModTime.Equal(then) || string(content) != "bytes" {
		t.Errorf("got %+v with %q", header, content)
	}
}

func TestOnlyAFolderOfOursIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeAnew(dir); err == nil {
		t.Error("a folder with other files was taken")
	}
	if err := os.WriteFile(filepath.Join(dir, notesFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := makeAnew(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("got %v, want an empty folder", err)
	}
}
