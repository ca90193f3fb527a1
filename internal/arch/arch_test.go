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
	coder    pattern = "github.com/coder/websocket/..."
	kafka    pattern = "github.com/twmb/..."
)

const (
	onlyAppKnowsAll = "only internal/app knows everybody"
	onlyConfigReads = "only internal/config reads the environment"
	onlyCmdLogs     = "only cmd decides how logs look"
	siblings        = "siblings do not know each other"
	tested          = "what is tested does not know its tests"
	brokersApart    = "a broker is a process of its own"
	framesApart     = "frames are the business of proxy/websocket"
	cachesAnswers   = "what is remembered about certificates is the business of those who ask about them"
	filesFollowed   = "files are internal/watch's business"
	sharedByAll     = "packages that do not know each other import it, so it imports nothing of ours"
	oracleNotReader = "paho is the tests' oracle and client, never the first reader of a stranger's bytes"
	noHTTP          = "it speaks MQTT; HTTP is for proxy/websocket, internal/admin, internal/backend and certacl"
	eventsRead      = "Kafka is internal/ownerevents' business"
	realBinary      = "it runs the real binary, and sees it from outside"
)

// everywhere says what no package outside of the folders in except may import.
var everywhere = []struct {
	imported pattern
	except   []pattern
	why      string
}{
	{"cmd/...", nil, "nobody imports a command"},
	{"internal/app/...", []pattern{"cmd/...", "internal/app/...", "internal/docs"}, onlyAppKnowsAll},
	{env, []pattern{"internal/config"}, onlyConfigReads},
	{tint, []pattern{"cmd/..."}, onlyCmdLogs},
	{term, []pattern{"cmd/...", "e2e/demo"}, onlyCmdLogs},
	{lru, []pattern{"certacl", "internal/ocsp", "internal/app"}, cachesAnswers}, // internal/app asks for the lists that they name
	{fsnotify, []pattern{"internal/watch"}, filesFollowed},
	{mochi, []pattern{"e2e/..."}, brokersApart},
	{kafka, []pattern{"internal/ownerevents", "e2e/...", "examples/..."}, eventsRead},
	{paho, []pattern{"e2e/..."}, oracleNotReader},
	{coder, []pattern{"proxy/websocket", "e2e/...", "bench/..."}, framesApart},
	{"e2e/...", []pattern{"e2e/...", "bench/..."}, tested},
}

// forbidden says what a package must not import beside, and why.
var forbidden = map[pattern]map[pattern]string{
	"cmd/...": {
		"internal/admin/...":   "internal/app shows what there is to see",
		"internal/backend/...": "internal/app puts brokers to use",
		"proxy/...":            "internal/app puts the proxy to use",
		"certacl/...":          "internal/app asks certificate-acl",
		"truststore/...":       "internal/app follows the trust files",
	},
	"internal/config": {
		"certacl/...": siblings,
		"packets/...": siblings,
		metrics:       "internal/app counts",
	},
	"internal/config/legacy/...": {
		"internal/config": "a reader of the old configuration does not know the new one",
		"proxy/...":       "it speaks of variables, and internal/config of what they mean",
		"truststore/...":  "it speaks of variables, and internal/config of what they mean",
	},
	"internal/config/legacy/vernemqconf/...": {
		"internal/config/legacy": "reading does not know what it is read for",
	},
	"internal/config/legacy": {
		"os": "it is handed the environment",
	},
	"internal/convert/...": {
		"internal/config": "a converter is handed the names of variables",
		"proxy/...":       "it writes configurations and runs nothing",
		"truststore/...":  "it writes configurations and runs nothing",
		"certacl/...":     "it writes configurations and runs nothing",
	},
	"internal/admin/...": {
		"internal/config/...":  siblings,
		"internal/backend/...": siblings,
		"certacl/...":          siblings,
		"truststore/...":       siblings,
		"packets/...":          siblings,
	},
	"internal/identity/...": {
		"internal/config/...":  siblings,
		"internal/admin/...":   siblings,
		"internal/backend/...": siblings,
		"proxy/...":            "internal/app makes an Owner func of it",
		"packets/...":          siblings,
		"certacl/...":          "a source does not know the others",
		"truststore/...":       siblings,
		metrics:                "internal/app counts",
	},
	"internal/ownerevents/...": {
		"internal/config/...":  siblings,
		"internal/admin/...":   siblings,
		"internal/backend/...": siblings,
		"proxy/...":            siblings,
		"packets/...":          siblings,
		"certacl/...":          siblings,
		"truststore/...":       siblings,
		metrics:                "internal/app counts what Observe and Status tell",
	},
	"internal/backend/...": {
		"internal/config/...": siblings,
		"internal/admin/...":  siblings,
		"proxy/...":           siblings,
		"packets/...":         "it speaks no MQTT; the holder of a Lease does",
		"certacl/...":         siblings,
		"truststore/...":      siblings,
		metrics:               "internal/app counts what Status tells",
	},
	"internal/crlfetch/...": {
		"internal/config/...":  siblings,
		"internal/admin/...":   siblings,
		"internal/backend/...": siblings,
		"proxy/...":            siblings,
		"packets/...":          siblings,
		"certacl/...":          siblings,
		"truststore/...":       "internal/app hands it a Try func, so that it can be tested and read alone",
		metrics:                "internal/app counts what the observers tell",
	},
	"internal/dial/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"internal/due/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
		"crypto/...":     "it knows times alone",
	},
	"internal/pki/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"internal/outbound/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"internal/untrusted/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"internal/watch/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"internal/lastgood/...": {
		"internal/admin/...":     sharedByAll,
		"internal/backend/...":   sharedByAll,
		"internal/config/...":    sharedByAll,
		"internal/clienttls/...": siblings,
		"proxy/...":              sharedByAll,
		"packets/...":            sharedByAll,
		"certacl/...":            sharedByAll,
		"truststore/...":         sharedByAll,
	},
	"internal/clienttls/...": {
		"internal/admin/...":    sharedByAll,
		"internal/backend/...":  sharedByAll,
		"internal/config/...":   sharedByAll,
		"internal/lastgood/...": siblings,
		"proxy/...":             sharedByAll,
		"packets/...":           sharedByAll,
		"certacl/...":           sharedByAll,
		"truststore/...":        sharedByAll,
	},
	"internal/sdnotify/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"internal/pace/...": {
		"internal/...":   sharedByAll,
		"proxy/...":      sharedByAll,
		"packets/...":    sharedByAll,
		"certacl/...":    sharedByAll,
		"truststore/...": sharedByAll,
	},
	"proxy/...": {
		"internal/config/...":  siblings,
		"internal/admin/...":   siblings,
		"internal/backend/...": "internal/app hands it a Lease func, so that it can be tested and read alone",
		"certacl/...":          "internal/app hands it an Owner func, so that it can be tested and read alone",
		"truststore/...":       "internal/app hands it a Trust, so that it can be tested and read alone",
	},
	"proxy":               {"net/http/...": noHTTP},
	"proxy/relay/...":     noHTTPBelowProxy("proxy/limit/...", "proxy/listen/...", "proxy/websocket/..."),
	"proxy/limit/...":     noHTTPBelowProxy("proxy/listen/...", "proxy/relay/...", "proxy/websocket/...", "packets/..."),
	"proxy/listen/...":    noHTTPBelowProxy("proxy/limit/...", "proxy/relay/...", "proxy/websocket/...", "packets/..."),
	"proxy/websocket/...": belowProxy("proxy/limit/...", "proxy/listen/...", "proxy/relay/...", "packets/..."),
	"packets/...": {
		"internal/...":   "bytes do not know where they go, nor who is trusted",
		"proxy/...":      "bytes do not know who moves them",
		"certacl/...":    "bytes do not know whose they are",
		"truststore/...": "bytes do not know who is trusted",
		metrics:          "counting is proxy's business",
		"net":            "it reads from any io.Reader",
		"log/slog":       "it returns errors, proxy logs",
	},
	"internal/ocsp/...": {
		"internal/config/...":   siblings,
		"internal/admin/...":    siblings,
		"internal/backend/...":  siblings,
		"internal/outbound/...": "internal/app hands it an http.Client, so that it decides about no hosts",
		"proxy/...":             siblings,
		"packets/...":           siblings,
		"certacl/...":           siblings,
		"truststore/...":        siblings,
		metrics:                 "internal/app counts what the observers tell",
		"github.com/hashicorp/golang-lru/v2/expirable/...": "it starts a goroutine that cannot be stopped",
	},
	"certacl/...": {
		"internal/config/...":  siblings,
		"internal/admin/...":   siblings,
		"internal/backend/...": siblings,
		"proxy/...":            siblings,
		"packets/...":          siblings,
		"truststore/...":       siblings,
		metrics:                "internal/app counts what the observers tell",
		"github.com/hashicorp/golang-lru/v2/expirable/...": "it starts a goroutine that cannot be stopped",
	},
	"truststore/...": {
		"internal/config/...":  siblings,
		"internal/admin/...":   siblings,
		"internal/backend/...": siblings,
		"proxy/...":            siblings,
		"packets/...":          siblings,
		"certacl/...":          siblings,
		metrics:                "internal/app counts what the observers tell",
	},
	"examples/...": {
		"internal/...": realBinary,
		"proxy/...":    realBinary,
		"packets/...":  realBinary,
		"certacl/...":  realBinary,
		"truststore":   "of ours it may use truststore/certtest alone",
	},
	"bench/...": {
		"internal/...": realBinary,
		"proxy/...":    realBinary,
		"packets/...":  "what it sends is the same whatever our own encoder does",
		"certacl/...":  realBinary,
		"truststore":   "of ours it may use truststore/certtest alone",
	},
	"e2e/...": {
		"internal/...": realBinary,
		"proxy/...":    realBinary,
		"packets/...":  "bytes on the wire are checked against the specification, not against our own encoder",
		"certacl/...":  realBinary,
		"truststore":   "of ours it may use truststore/certtest alone",
	},
}

// belowProxy says what a package that proxy is made of must not import.
func belowProxy(others ...pattern) map[pattern]string {
	rules := map[pattern]string{"proxy": "proxy is made of it"}
	for _, other := range others {
		rules[other] = siblings
	}
	return rules
}

// noHTTPBelowProxy is belowProxy for packages that speak no HTTP.
func noHTTPBelowProxy(others ...pattern) map[pattern]string {
	rules := belowProxy(others...)
	rules["net/http/..."] = noHTTP
	return rules
}

// inTests says what a package's tests may import beside, and why.
var inTests = map[pattern]map[pattern]string{
	"proxy/...": {
		"truststore/certtest": "a test CA",
		"net/http/...":        "the broker of a test may be asked over HTTP",
		coder:                 "a test's client by WebSocket",
	},
	"packets/...": {
		paho:  "the oracle of differential fuzzing",
		"net": "streams that arrive in pieces",
	},
	"internal/ownerevents":   {"truststore/certtest": "a test CA", "internal/ownerevents": "its tests see it from outside"},
	"cmd/...":                {"proxy/listen": "a port has to be held as other processes hold it"},
	"certacl/...":            {"truststore/certtest": "a test CA"},
	"internal/ocsp/...":      {"truststore/certtest": "a test CA"},
	"internal/identity/...":  {"truststore/certtest": "a test CA"},
	"internal/dial/...":      {"internal/dial": "its tests see it from outside"},
	"internal/pki/...":       {"internal/pki": "its tests see it from outside"},
	"internal/outbound/...":  {"internal/outbound": "its tests see it from outside"},
	"internal/clienttls/...": {"truststore/certtest": "a test CA"},
	"internal/untrusted/...": {"internal/untrusted": "its tests see it from outside"},
	"internal/sdnotify/...":  {"internal/sdnotify": "its tests see it from outside"},
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
		"a test of proxy imports truststore: internal/app hands it a Trust, so that it can be tested and read alone",
		"truststore/certtest imports github.com/prometheus/client_golang/prometheus: internal/app counts what the observers tell",
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
			reason, ok := forbids(f.folder, imported)
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

// forbids says why files of a folder must not import a package, ok = false if
// they may.
func forbids(folder, imported string) (reason string, ok bool) {
	for _, rule := range everywhere {
		excepted := slices.ContainsFunc(rule.except, func(p pattern) bool { return matches(p, folder) })
		if matches(rule.imported, imported) && !excepted {
			return rule.why, true
		}
	}
	return lookUp(forbidden, folder, imported)
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
