// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build image

package images_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
)

// An archive is an image as podman and docker save it.
type archive struct {
	Architecture string `json:"architecture"`
	Config       struct {
		User         string              `json:"User"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		Env          []string            `json:"Env"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Labels       map[string]string   `json:"Labels"`
	} `json:"config"`

	files map[string]*entry // of all layers, by path without the leading slash; no directories
}

// entry is a file of an image.
type entry struct {
	mode    int64
	content []byte
}

// readArchive reads a file in the format docker-archive.
func readArchive(t *testing.T, path string) *archive {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	members := readTar(t, f)
	var manifest []struct {
		Config string
		Layers []string
	}
	unmarshal(t, members["manifest.json"].content, &manifest)
	a := &archive{files: make(map[string]*entry)}
	unmarshal(t, members[manifest[0].Config].content, a)
	for _, layer := range manifest[0].Layers {
		for name, file := range readTar(t, bytes.NewReader(members[layer].content)) {
			a.files[name] = file
		}
	}
	return a
}

// readTar reads what is no directory. Links count as files without content.
func readTar(t *testing.T, r io.Reader) map[string]*entry {
	t.Helper()
	members := make(map[string]*entry)
	for tr := tar.NewReader(r); ; {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return members
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		members[header.Name] = &entry{header.Mode, content}
	}
}

func unmarshal(t *testing.T, text []byte, to any) {
	t.Helper()
	if err := json.Unmarshal(text, to); err != nil {
		t.Fatal(err)
	}
}
