// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"

	"github.com/vernegate/vernegate/release/command"
)

// writeSBOMs writes what each binary is made of, as the linker recorded it, with the
// tool that writes the bill of materials of the image.
func (r *release) writeSBOMs(ctx context.Context) error {
	dockerfile, err := os.ReadFile(filepath.Join(r.source.root, "Dockerfile"))
	if err != nil {
		return err
	}
	tool := regexp.MustCompile(`(?m)^ARG SBOM=(.+)$`).FindSubmatch(dockerfile)
	if tool == nil {
		return errors.New("the Dockerfile has no ARG SBOM=")
	}
	for _, t := range r.targets {
		_, err := command.Output(ctx, r.source.root, command.PlainGo(), "go", "run", string(tool[1]), "bin", "-json", "-std", "-noserial", "-notimestamp",
			"-version", string(r.version), "-output", r.fileName(t, ".cdx.json"), r.binaries[t])
		if err != nil {
			return err
		}
	}
	return nil
}
