// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"os"
	"path/filepath"
	"time"
)

// A member is a file of an archive.
type member struct {
	name string
	path string // where its content is
	mode int64
}

// writeArchives writes an archive for each target: the binary and what comes with it.
func (r *release) writeArchives(context.Context) error {
	for _, t := range r.targets {
		members := []member{
			{"vernegate", r.binaries[t], 0o755},
			{"LICENSE", r.path("LICENSE"), 0o644},
			{licencesName, r.licences, 0o644},
			{"README.md", r.path("README.md"), 0o644},
			{"CHANGELOG.md", r.path("CHANGELOG.md"), 0o644},
			{"man/vernegate.1", r.path("packaging/man/vernegate.1"), 0o644},
			{"completion/vernegate.bash", r.shells["bash"], 0o644},
			{"completion/vernegate.fish", r.shells["fish"], 0o644},
			{"completion/_vernegate", r.shells["zsh"], 0o644},
			{"vernegate.env", r.path("packaging/etc/vernegate.env"), 0o644},
		}
		if t.os == "linux" {
			for _, unit := range []string{"vernegate.service", "vernegate@.service", "low-port.conf"} {
				members = append(members, member{"systemd/" + unit, r.path("packaging/systemd/" + unit), 0o644})
			}
		}
		folder := "vernegate_" + r.version.number() + "_" + t.String()
		content, err := archive(folder, members, r.source.time)
		if err != nil {
			return err
		}
		if err := os.WriteFile(r.fileName(t, ".tar.gz"), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// path is that of a file of the sources.
func (r *release) path(name string) string {
	return filepath.Join(r.source.root, filepath.FromSlash(name))
}

// archive packs files into a folder of a compressed archive, with nothing in it that
// depends on the machine or the moment.
func archive(folder string, members []member, modified time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	for _, m := range members {
		content, err := os.ReadFile(m.path)
		if err != nil {
			return nil, err
		}
		err = w.WriteHeader(&tar.Header{
			Typeflag: tar.TypeReg, Name: folder + "/" + m.name, Mode: m.mode, Size: int64(len(content)), ModTime: modified, Format: tar.FormatUSTAR,
		})
		if err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
