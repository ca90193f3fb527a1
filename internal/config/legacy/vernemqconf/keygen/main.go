// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command keygen prints the names of the keys that a vernemq.conf may have, as
// the schema files of a VerneMQ release define them, one a line and sorted. Its
// output is what the folder keys holds:
//
//	keygen 2.2.0 ~/src/vernemq cuttlefish=~/src/cuttlefish eleveldb=~/src/eleveldb riak_sysmon=~/src/riak_sysmon
//
// The arguments are the version, which is written down and not checked, a
// checkout of VerneMQ at that version, and checkouts of the dependencies whose
// schemas the release includes. Only names are taken.
package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "keygen:", err)
		os.Exit(1)
	}
}

// run prints the keys to out, and to warnings which schemas are not there.
func run(args []string, out, warnings io.Writer) error {
	if len(args) < 2 {
		return errors.New("expected a version, a checkout of VerneMQ, and dependency=checkout for each dependency with a schema")
	}
	version, checkout := args[0], args[1]
	dependencies := map[string]string{}
	for _, arg := range args[2:] {
		name, dir, ok := strings.Cut(arg, "=")
		if !ok {
			return fmt.Errorf("expected dependency=checkout, not %q", arg)
		}
		dependencies[name] = dir
	}
	schemas, err := releaseSchemas(checkout)
	if err != nil {
		return err
	}
	keys := map[string]bool{}
	for _, schema := range schemas {
		text, err := os.ReadFile(locate(schema, checkout, dependencies))
		if errors.Is(err, os.ErrNotExist) {
			fmt.Fprintln(warnings, "keygen: without", schema)
			continue
		}
		if err != nil {
			return err
		}
		for _, key := range mappedKeys(string(text)) {
			keys[key] = true
		}
	}
	fmt.Fprintf(out, "# Keys of VerneMQ %s: names from its schema files and those of %s, printed by keygen.\n",
		version, strings.Join(slices.Sorted(maps.Keys(dependencies)), ", "))
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		fmt.Fprintln(out, key)
	}
	return nil
}

// releaseSchema matches one schema file in the list of what a release holds.
var releaseSchema = regexp.MustCompile(`\{template,\s*"([^"]+\.schema)"`)

// releaseSchemas returns the schema files that the release of a checkout is
// made with, as its rebar.config names them.
func releaseSchemas(checkout string) ([]string, error) {
	config, err := os.ReadFile(filepath.Join(checkout, "rebar.config"))
	if err != nil {
		return nil, err
	}
	var schemas []string
	for _, match := range releaseSchema.FindAllStringSubmatch(string(config), -1) {
		schemas = append(schemas, match[1])
	}
	slices.Sort(schemas)
	return slices.Compact(schemas), nil
}

// locate returns where a schema of the release lies: those of dependencies are
// not in the checkout.
func locate(schema, checkout string, dependencies map[string]string) string {
	if rest, ok := strings.CutPrefix(schema, "_build/default/lib/"); ok {
		name, path, _ := strings.Cut(rest, "/")
		if dir, ok := dependencies[name]; ok {
			return filepath.Join(dir, path)
		}
	}
	return filepath.Join(checkout, schema)
}

var (
	comment = regexp.MustCompile(`(?m)^\s*%.*$`)
	mapping = regexp.MustCompile(`\{\s*mapping\s*,\s*"([^"]+)"`)
)

// mappedKeys returns the keys that a schema maps, in its order.
func mappedKeys(schema string) []string {
	var keys []string
	for _, match := range mapping.FindAllStringSubmatch(comment.ReplaceAllString(schema, ""), -1) {
		keys = append(keys, match[1])
	}
	return keys
}
