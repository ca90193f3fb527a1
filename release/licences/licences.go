// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package licences collects the licences of what is linked into binaries, and refuses
// those that do not fit Apache-2.0.
package licences

import (
	"bytes"
	"cmp"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/licensecheck"

	"github.com/vernegate/vernegate/release/command"
)

// fitting are the licences, as SPDX calls them, that allow a binary under Apache-2.0
// with their code in it. MPL-2.0 demands that its files can be had as source: the
// text names the module and its version, which the Go module proxy has.
func fitting() []string {
	return []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MPL-2.0", "Unlicense", "Zlib"}
}

// A module is a part of a binary that somebody else has written.
type module struct {
	Path, Version, Dir string
}

// licenceFile matches the files of a module that have to come along.
var licenceFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-.].*)?$`)

// mustFit matches those of them that say what is allowed.
var mustFit = regexp.MustCompile(`(?i)^(licen[cs]e|copying)([-.].*)?$`)

// Write writes the licences of what is linked into any of the binaries, which were built of
// the module in the folder root. The error names all that does not fit, or has none.
func Write(ctx context.Context, w io.Writer, root string, binaries []string) error {
	linked, err := linkedModules(binaries)
	if err != nil {
		return err
	}
	modules, err := locate(ctx, root, linked)
	if err != nil {
		return err
	}
	return writeLicences(w, modules)
}

// linkedModules returns the modules that are in any of the binaries, in the order of
// their names.
func linkedModules(binaries []string) ([]module, error) {
	found := map[module]bool{}
	for _, path := range binaries {
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for _, dep := range info.Deps {
			if dep.Replace != nil {
				dep = dep.Replace
			}
			found[module{Path: dep.Path, Version: dep.Version}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b module) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Version, b.Version))
	}), nil
}

// locate finds the sources of modules of the module in root, and puts the standard library of Go before them.
func locate(ctx context.Context, root string, linked []module) ([]module, error) {
	goroot, err := command.Output(ctx, root, command.PlainGo(), "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	dir, release, _ := strings.Cut(strings.TrimSpace(string(goroot)), "\n")
	modules := []module{{"Go's standard library and runtime", release, dir}}
	args := []string{"mod", "download", "-json"}
	for _, m := range linked {
		args = append(args, m.Path+"@"+m.Version)
	}
	if len(linked) == 0 {
		return modules, nil
	}
	out, err := command.Output(ctx, root, command.PlainGo(), "go", args...)
	if err != nil {
		return nil, err
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var m module
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		modules = append(modules, m)
	}
	slices.SortFunc(modules[1:], func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, nil
}

// writeLicences writes the texts of the modules, each under its name. The error names
// all modules whose licence does not fit, or cannot be told.
func writeLicences(w io.Writer, modules []module) error {
	var errs []error
	fmt.Fprintln(w, "vernegate is under the Apache License 2.0. Its binaries contain the following, under the licences below.")
	fmt.Fprintln(w, "The source of each can be had from https://proxy.golang.org, by its name and version.")
	for _, m := range modules {
		entries, err := os.ReadDir(m.Dir)
		if err != nil {
			return err
		}
		fit := false
		for _, e := range entries {
			if e.IsDir() || !licenceFile.MatchString(e.Name()) {
				continue
			}
			text, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
			if err != nil {
				return err
			}
			if mustFit.MatchString(e.Name()) {
				if err := fits(text); err != nil {
					errs = append(errs, fmt.Errorf("%s %s, %s: %w", m.Path, m.Version, e.Name(), err))
				}
				fit = true
			}
			fmt.Fprintf(w, "\n%s\n%s %s: %s\n%[1]s\n\n%[5]s\n", strings.Repeat("=", 80), m.Path, m.Version, e.Name(), bytes.TrimSpace(text))
		}
		if !fit {
			errs = append(errs, fmt.Errorf("%s %s has no licence", m.Path, m.Version))
		}
	}
	return errors.Join(errs...)
}

// recognized is how much of a text has to belong to licences that are known, in percent.
const recognized = 75

// fits returns an error unless a text is nothing but licences that fit.
func fits(text []byte) error {
	coverage := licensecheck.Scan(text)
	for _, m := range coverage.Match {
		if !slices.Contains(fitting(), m.ID) {
			return fmt.Errorf("%s does not fit Apache-2.0", m.ID)
		}
	}
	if coverage.Percent < recognized {
		return fmt.Errorf("only %.0f %% of the text is a licence that is known", coverage.Percent)
	}
	return nil
}
