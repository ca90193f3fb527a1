// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/vernegate/vernegate/release/command"
	"github.com/vernegate/vernegate/release/licences"
)

// A release is being made.
type release struct {
	source  source
	version version
	targets []target
	dist    string // what is made goes there
	work    string // and what it is made of there

	notes    string
	licences string            // path of the texts
	binaries map[target]string // paths
	shells   map[string]string // path of the completion script by shell
}

// build makes all files of a release.
func build(ctx context.Context, root, dist string, v version, out io.Writer) error {
	src, err := readSource(ctx, root)
	if err != nil {
		return err
	}
	if src.dirty() && !v.preliminary() {
		return fmt.Errorf("%s has changes that are not committed: %s would not be what its tag says", root, v)
	}
	text, err := os.ReadFile(filepath.Join(root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	notes, err := notesOf(string(text), v)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "vernegate-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := makeAnew(dist); err != nil {
		return err
	}
	r := &release{source: src, version: v, targets: targets(), dist: dist, work: work, notes: notes}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"notes", r.writeNotes},
		{"binaries", r.buildBinaries},
		{"licences", r.collectLicences},
		{"bills of materials", r.writeSBOMs},
		{"completion scripts", r.writeCompletions},
		{"archives", r.writeArchives},
		{"packages", r.writePackages},
		{"chart", r.packChart},
		{"sums", r.writeSums},
	} {
		fmt.Fprintf(out, "%s %s: %s\n", v, src.commit, step.what)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

// notesFile is the first file of a release, and so what a folder of ours is known by.
const notesFile = "NOTES.md"

// makeAnew makes an empty folder in place of one that was made before, and of no other.
func makeAnew(folder string) error {
	entries, err := os.ReadDir(folder)
	if _, ours := os.Stat(filepath.Join(folder, notesFile)); err == nil && len(entries) > 0 && ours != nil {
		return fmt.Errorf("%s has other files than those of a release: expected an empty folder, or none", folder)
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.MkdirAll(folder, 0o755)
}

// writeNotes writes what the page of the release says.
func (r *release) writeNotes(context.Context) error {
	return os.WriteFile(filepath.Join(r.dist, notesFile), []byte(r.notes), 0o644)
}

// fileName names a file of the release.
func (r *release) fileName(t target, suffix string) string {
	return filepath.Join(r.dist, fmt.Sprintf("vernegate_%s_%s%s", r.version.number(), t, suffix))
}

// buildBinaries builds the binary of each target, with the flags of the Dockerfile.
func (r *release) buildBinaries(ctx context.Context) error {
	r.binaries = map[target]string{}
	for _, t := range r.targets {
		path := filepath.Join(r.work, t.String(), "vernegate")
		_, err := command.Output(ctx, r.source.root, t.environ(), "go", "build", "-trimpath", "-buildvcs=false",
			"-ldflags", fmt.Sprintf("-s -w -X main.linkedVersion=%s -X main.linkedCommit=%s", r.version, r.source.commit),
			"-o", path, "./cmd/vernegate")
		if err != nil {
			return err
		}
		r.binaries[t] = path
	}
	return nil
}

// licencesName is the file with the licences of what is linked.
const licencesName = "THIRD_PARTY_LICENSES.txt"

// collectLicences writes the licences of what is linked into the binaries, and
// refuses what does not fit.
func (r *release) collectLicences(ctx context.Context) error {
	var text bytes.Buffer
	if err := licences.Write(ctx, &text, r.source.root, slices.Collect(maps.Values(r.binaries))); err != nil {
		return err
	}
	r.licences = filepath.Join(r.dist, licencesName)
	return os.WriteFile(r.licences, text.Bytes(), 0o644)
}

// writeCompletions has the program of this machine print its completion scripts.
func (r *release) writeCompletions(ctx context.Context) error {
	r.shells = map[string]string{}
	for _, shell := range []string{"bash", "fish", "zsh"} {
		script, err := command.Output(ctx, r.source.root, command.PlainGo(), "go", "run", "-trimpath", "-buildvcs=false", "./cmd/vernegate", "completion", shell)
		if err != nil {
			return err
		}
		r.shells[shell] = filepath.Join(r.work, "completion."+shell)
		if err := os.WriteFile(r.shells[shell], script, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packChart has the module of the charts write the chart.
func (r *release) packChart(ctx context.Context) error {
	_, err := command.Output(ctx, filepath.Join(r.source.root, "charts"), command.PlainGo(), "go", "run", "./pack",
		"-version", string(r.version), "-time", fmt.Sprint(r.source.time.Unix()), "-out", r.dist, "vernegate")
	return err
}
