// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package arch holds the arrows of the house: which package may import which.
package arch

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/vernegate/vernegate/"

// A pattern is an import path, for packages of ours without the module. With
// "/..." at its end it is everything below that path, too.
type pattern = string

const (
	env      pattern = "github.com/caarlos0/env/..."
	tint     pattern = "github.com/lmittmann/tint/..."
	term     pattern = "golang.org/x/term/..."
	metrics  pattern = "github.com/prometheus/..."
	lru      pattern = "github.com/hashicorp/golang-lru/..."
	fsnotify pattern = "github.com/fsnotify/fsnotify/..."
	paho     pattern = "github.com/eclipse/..."
	mochi    pattern = "github.com/mochi-mqtt/..."
)

const (
	onlyCmdKnowsAll  = "only cmd knows everybody"
	onlyCmdConfigure = "only cmd reads the environment and decides how logs look"
	sharedByAll      = "packages that do not know each other import it, so it imports nothing of ours"
	oracleNotReader  = "paho is the tests' oracle and client, never the first reader of a stranger's bytes"
)

// forbidden says what a package must not import, and why.
var forbidden = map[pattern]map[pattern]string{
	"proxy/...": {
		"backend/...":    "cmd hands it a Lease func, so that it can be tested and read alone",
		"certacl/...":    "cmd hands it an Owner func, so that it can be tested and read alone",
		"truststore/...": "cmd hands it a Trust, so that it can be tested and read alone",
		"cmd/...":        onlyCmdKnowsAll,
		"e2e/...":        "what is tested does not know its tests",
		env:              onlyCmdConfigure,
		tint:             onlyCmdConfigure,
		term:             onlyCmdConfigure,
		paho:             oracleNotReader,
		mochi:            "a broker is a process of its own",
		lru:              "what is remembered about owners is certacl's business",
		fsnotify:         "files are truststore's business",
		"net/http/...":   "it speaks MQTT; HTTP is for cmd, certacl and backend",
	},
	"backend/...": {
		"proxy/...":      "siblings do not know each other",
		"packets/...":    "it speaks no MQTT; the holder of a Lease does",
		"certacl/...":    "siblings do not know each other",
		"truststore/...": "siblings do not know each other",
		"cmd/...":        onlyCmdKnowsAll,
		"e2e/...":        "what is tested does not know its tests",
		env:              onlyCmdConfigure,
		tint:             onlyCmdConfigure,
		metrics:          "cmd counts what Status tells",
	},
	"packets/...": {
		"internal/pki":   "bytes do not know who is trusted",
		"backend/...":    "bytes do not know where they go",
		"proxy/...":      "bytes do not know who moves them",
		"certacl/...":    "bytes do not know whose they are",
		"truststore/...": "bytes do not know who is trusted",
		"cmd/...":        onlyCmdKnowsAll,
		"e2e/...":        "what is tested does not know its tests",
		env:              onlyCmdConfigure,
		tint:             onlyCmdConfigure,
		metrics:          "counting is proxy's business",
		paho:             oracleNotReader,
		mochi:            oracleNotReader,
		"net":            "it reads from any io.Reader",
		"log/slog":       "it returns errors, proxy logs",
	},
	"certacl/...": {
		"backend/...":    "siblings do not know each other",
		"proxy/...":      "siblings do not know each other",
		"packets/...":    "siblings do not know each other",
		"truststore/...": "siblings do not know each other",
		"cmd/...":        onlyCmdKnowsAll,
		"e2e/...":        "what is tested does not know its tests",
		env:              onlyCmdConfigure,
		tint:             onlyCmdConfigure,
		metrics:          "cmd counts what the observers tell",
		"github.com/hashicorp/golang-lru/v2/expirable/...": "it starts a goroutine that cannot be stopped",
	},
	"truststore/...": {
		"backend/...": "siblings do not know each other",
		"proxy/...":   "siblings do not know each other",
		"packets/...": "siblings do not know each other",
		"certacl/...": "siblings do not know each other",
		"cmd/...":     onlyCmdKnowsAll,
		"e2e/...":     "what is tested does not know its tests",
		env:           onlyCmdConfigure,
		tint:          onlyCmdConfigure,
		metrics:       "cmd counts what the observers tell",
	},
	"internal/pki/...": {
		"internal/...":   sharedByAll,
		"backend/...":    sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
		"cmd/...":        onlyCmdKnowsAll,
	},
	"internal/vernemqconf/...": {
		"internal/dropin/...": "reading does not know what it is read for",
		"cmd/...":             onlyCmdKnowsAll,
		"proxy/...":           "a configuration does not know who is configured",
		"truststore/...":      "a configuration does not know who is configured",
		env:                   onlyCmdConfigure,
	},
	"internal/dropin/...": {
		"cmd/...":        onlyCmdKnowsAll,
		"proxy/...":      "it speaks of variables, and cmd of what they mean",
		"truststore/...": "it speaks of variables, and cmd of what they mean",
		env:              onlyCmdConfigure,
		"os":             "cmd hands it the environment",
	},
	"cmd/vernegate/convert/...": {
		"proxy/...":      "it writes configurations and runs nothing",
		"truststore/...": "it writes configurations and runs nothing",
		"certacl/...":    "it writes configurations and runs nothing",
		env:              "cmd hands it the environment",
	},
	"cmd/...": {
		"e2e/...": "what is tested does not know its tests",
		paho:      oracleNotReader,
		mochi:     "a broker is a process of its own",
		lru:       "what is remembered about owners is certacl's business",
		fsnotify:  "files are truststore's business",
	},
	"examples/...": {
		"proxy/...":   "an example runs the real binary",
		"packets/...": "an example runs the real binary",
		"certacl/...": "an example runs the real binary",
		"cmd/...":     "an example runs the real binary",
		"truststore":  "of ours it may use truststore/certtest alone",
	},
	"bench/...": {
		"backend/...": "it measures the real binary from outside",
		"proxy/...":   "it measures the real binary from outside",
		"packets/...": "what it sends is the same whatever our own encoder does",
		"certacl/...": "it measures the real binary from outside",
		"cmd/...":     "it measures the real binary from outside",
		"truststore":  "of ours it may use truststore/certtest alone",
	},
	"e2e/...": {
		"backend/...": "it tests the real binary from outside",
		"proxy/...":   "it tests the real binary from outside",
		"packets/...": "bytes on the wire are checked against the specification, not against our own encoder",
		"certacl/...": "it tests the real binary from outside",
		"cmd/...":     "it tests the real binary from outside",
		"truststore":  "of ours it may use truststore/certtest alone",
	},
}

// inTests says what a package's tests may import beside, and why.
var inTests = map[pattern]map[pattern]string{
	"proxy/...": {
		"truststore/certtest": "a test CA",
		"net/http/...":        "the broker of a test may be asked over HTTP",
	},
	"packets/...": {
		paho:  "the oracle of differential fuzzing",
		"net": "streams that arrive in pieces",
	},
	"certacl/...":      {"truststore/certtest": "a test CA"},
	"internal/pki/...": {"internal/pki": "its tests see it from outside"},
}

// file is one Go file.
type file struct {
	folder  string // below the module's root
	test    bool
	imports []string
}

func TestArrows(t *testing.T) {
	t.Parallel()
	files := listFiles(t, os.DirFS("../.."))
	for _, v := range violations(files) {
		t.Error(v)
	}
	for from := range forbidden {
		if !slices.ContainsFunc(files, func(f file) bool { return matches(from, f.folder) }) {
			t.Errorf("there is a rule for %s, but no such package", from)
		}
	}
}

// TestArrowsAreChecked shows that a wrong import is found, in a package and in
// its tests, and that what only a test may do is not forbidden to it.
func TestArrowsAreChecked(t *testing.T) {
	t.Parallel()
	source := func(imports ...string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("package p\nimport (\n\"" + strings.Join(imports, "\"\n\"") + "\"\n)\n")}
	}
	got := violations(listFiles(t, fstest.MapFS{
		"packets/read.go":               source("io", "net"),
		"packets/read_test.go":          source("io", "net"),
		"proxy/proxy_test.go":           source(module+"truststore", module+"truststore/certtest"),
		"e2e/e2e_test.go":               source(module + "truststore/certtest"),
		"truststore/certtest/ca.go":     source("github.com/prometheus/client_golang/prometheus"),
		"truststore/testdata/ignore.go": source(module + "proxy"),
	}))
	want := []string{
		"packets imports net: it reads from any io.Reader",
		"a test of proxy imports truststore: cmd hands it a Trust, so that it can be tested and read alone",
		"truststore/certtest imports github.com/prometheus/client_golang/prometheus: cmd counts what the observers tell",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// violations returns a line for each import that is forbidden.
func violations(files []file) []string {
	var lines []string
	for _, f := range files {
		for _, imported := range f.imports {
			reason, ok := lookUp(forbidden, f.folder, imported)
			if !ok {
				continue
			}
			who := f.folder
			if f.test {
				who = "a test of " + f.folder
				if _, ok := lookUp(inTests, f.folder, imported); ok {
					continue
				}
			}
			lines = append(lines, fmt.Sprintf("%s imports %s: %s", who, imported, reason))
		}
	}
	return lines
}

// lookUp finds the rule about files of a folder importing a package.
func lookUp(rules map[pattern]map[pattern]string, folder, imported string) (reason string, ok bool) {
	for from, imports := range rules {
		if !matches(from, folder) {
			continue
		}
		for to, reason := range imports {
			if matches(to, imported) {
				return reason, true
			}
		}
	}
	return "", false
}

func matches(p pattern, path string) bool {
	base, below := strings.CutSuffix(p, "/...")
	return path == base || below && strings.HasPrefix(path, base+"/")
}

// listFiles returns all Go files of the module, those for other systems than
// this one included, with the imports of our own packages as folders.
func listFiles(t *testing.T, root fs.FS) []file {
	t.Helper()
	var files []file
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || len(name) > 1 && entry.Name()[0] == '.'):
			return fs.SkipDir
		case path.Ext(name) != ".go":
			return nil
		}
		f, err := readFile(root, name)
		files = append(files, f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func readFile(root fs.FS, name string) (file, error) {
	source, err := fs.ReadFile(root, name)
	if err != nil {
		return file{}, err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return file{}, err
	}
	f := file{folder: path.Dir(name), test: strings.HasSuffix(name, "_test.go")}
	for _, spec := range parsed.Imports {
		f.imports = append(f.imports, strings.TrimPrefix(strings.Trim(spec.Path.Value, `"`), module))
	}
	return f, nil
}
