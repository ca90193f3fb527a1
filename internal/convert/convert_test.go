// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert_test

import (
	"bytes"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
	"github.com/vernegate/vernegate/internal/convert"
)

var update = flag.Bool("update", false, "write the golden files anew")

// variables are those that a vernegate with everything has, as far as it matters here.
var variables = []string{
	"VERNEGATE_LISTEN", "VERNEGATE_SERVICE_LISTEN",
	"VERNEGATE_TLS_CERT", "VERNEGATE_TLS_KEY", "VERNEGATE_TLS_CA", "VERNEGATE_TLS_CRL", "VERNEGATE_TLS_MIN_VERSION", "VERNEGATE_TLS_CIPHERS",
	"VERNEGATE_TRUST_REFRESH_INTERVAL", "CERTIFICATE_ACL_URL", "CERTIFICATE_ACL_REQ_TIMEOUT_MS",
	"VERNEGATE_BACKENDS", "VERNEGATE_BACKEND_PROXY_PROTOCOL", "VERNEGATE_MAX_CONNECTIONS", "PLUGIN_DISC_LIFETIME_SESSION",
}

// options are those of the command line without options.
func options() convert.Options {
	return convert.Options{
		BrokerListen: "127.0.0.1:1883",
		NodeAddress:  vernemqconf.ContainerAddress,
		ACLFile:      "/vernemq/etc/vernegate/vmq.acl",
		Variables:    variables,
		Cipher: func(name string) error {
			if strings.HasPrefix(name, "DHE-") {
				return errors.New("not here")
			}
			return nil
		},
	}
}

// input is a vernemq.conf and lines of NAME=value.
func input(t *testing.T, conf, environ string) convert.Input {
	t.Helper()
	vars := map[string]string{}
	for line := range strings.Lines(environ) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name[0] != '#' {
			vars[name] = value
		}
	}
	settings, err := vernemqconf.Parse("vernemq.conf", []byte(conf))
	ofVariables, unread, err2 := vernemqconf.FromEnviron(vars)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return convert.Input{Settings: slices.Concat(settings, ofVariables), Vars: vars, Unread: unread}
}

// read returns a file's text, "" if there is no such file.
func read(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(text)
}

// fixture reads the old configuration of a fixture.
func fixture(t *testing.T, name string) convert.Input {
	t.Helper()
	dir := filepath.Join("testdata", name)
	return input(t, read(t, dir, "old.conf"), read(t, dir, "old.env"))
}

func mustConvert(t *testing.T, in convert.Input, o convert.Options) *convert.Result {
	t.Helper()
	result, err := convert.Convert(in, o)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// files are the files of a result by their names.
func files(r *convert.Result) map[string]string {
	return map[string]string{
		"vernemq.conf": string(r.Conf), "vmq.acl": string(r.ACL), "vernegate.env": string(r.Env), "REPORT.md": string(r.Report),
	}
}

// open is how much of each fixture is left to a person.
var open = map[string]int{"compose": 0, "kubernetes": 1, "variables": 0, "crowded": 18}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, questions := range open {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			result := mustConvert(t, fixture(t, name), options())
			if len(result.Open) != questions {
				t.Errorf("%d questions, want %d:\n%s", len(result.Open), questions, strings.Join(result.Open, "\n"))
			}
			for file, got := range files(result) {
				golden := filepath.Join("testdata", name, "new", file)
				if *update {
					if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if want := read(t, golden); got != want {
					t.Errorf("%s is\n%s\nwant\n%s", file, got, want)
				}
			}
		})
	}
}

// TestConvertingAgainChangesNothing reads what was written as if it were the old
// configuration, with vernegate.env as the environment.
func TestConvertingAgainChangesNothing(t *testing.T) {
	t.Parallel()
	for name := range open {
		first := mustConvert(t, fixture(t, name), options())
		in := input(t, string(first.Conf), string(first.Env))
		for _, variable := range []string{"PLUGIN_ACL_V2K_SERVICENAME", "PLUGIN_ACL_K2V_SERVICENAME"} {
			in.Vars[variable] = fixture(t, name).Vars[variable] // of these only the ACL file knows
		}
		second := files(mustConvert(t, in, options()))
		for file, want := range files(first) {
			if got := second[file]; file != "REPORT.md" && got != want {
				t.Errorf("%s: %s was\n%s\nand becomes\n%s", name, file, want, got)
			}
		}
	}
}

func TestSameInputSameOutput(t *testing.T) {
	t.Parallel()
	for name := range open {
		first := files(mustConvert(t, fixture(t, name), options()))
		for range 10 {
			if again := files(mustConvert(t, fixture(t, name), options())); !maps.Equal(first, again) {
				t.Fatalf("%s: two conversions differ", name)
			}
		}
	}
}

func TestStockVerneMQKnowsEveryKey(t *testing.T) {
	t.Parallel()
	for name := range open {
		conf := mustConvert(t, fixture(t, name), options()).Conf
		settings, err := vernemqconf.Parse("new", conf)
		if err != nil {
			t.Error(err)
		}
		if len(settings) == 0 || len(settings.Overridden()) > 0 {
			t.Errorf("%s: %d settings, overridden are %v", name, len(settings), settings.Overridden())
		}
		for _, s := range settings {
			if !vernemqconf.IsKey(vernemqconf.Stock, s.Key) && s.Key != "accept_eula" {
				t.Errorf("%s: stock VerneMQ would not start with %v", name, s)
			}
		}
	}
}

func TestNothingIsDroppedSilently(t *testing.T) {
	t.Parallel()
	for name := range open {
		in := fixture(t, name)
		report := string(mustConvert(t, in, options()).Report)
		for _, s := range in.Settings {
			if !strings.Contains(report, "| `"+s.Key+"` | "+s.Origin.String()+" |") {
				t.Errorf("%s: the report does not mention %v", name, s)
			}
		}
		for variable := range in.Vars {
			if variable != "MY_POD_IP" && !strings.Contains(report, variable) {
				t.Errorf("%s: the report does not mention %s", name, variable)
			}
		}
	}
}

func TestNoSecretIsReported(t *testing.T) {
	t.Parallel()
	result := mustConvert(t, fixture(t, "crowded"), options())
	if text := string(result.Report) + strings.Join(result.Open, ""); strings.Contains(text, "hunter2") {
		t.Errorf("the report holds a password:\n%s", text)
	}
}

// TestNobodyButVernegateIsBelieved: with allow_anonymous, no listener is left on
// which clients could say who they are.
func TestNobodyButVernegateIsBelieved(t *testing.T) {
	t.Parallel()
	for name := range open {
		settings, err := vernemqconf.Parse("new", mustConvert(t, fixture(t, name), options()).Conf)
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := settings.Get("allow_anonymous"); s.Value != "on" {
			t.Errorf("%s: allow_anonymous is %q", name, s.Value)
		}
		for _, protocol := range []string{"tcp", "ssl", "ws", "wss"} {
			for _, l := range settings.Listeners(protocol) {
				if l.Key() != "listener.tcp.vernegate" || l.Address.Value != "127.0.0.1:1883" {
					t.Errorf("%s: there is %s at %s", name, l.Key(), l.Address.Value)
				}
			}
		}
	}
}

func TestWithoutTheVariablesVernegateSpeaksNoProxyProtocol(t *testing.T) {
	t.Parallel()
	o := options()
	o.Variables = slices.DeleteFunc(slices.Clone(variables), func(v string) bool {
		return v == "VERNEGATE_BACKEND_PROXY_PROTOCOL" || v == "VERNEGATE_MAX_CONNECTIONS"
	})
	in := fixture(t, "compose")
	result := mustConvert(t, in, o)
	if bytes.Contains(result.Conf, []byte("proxy_protocol")) || bytes.Contains(result.Env, []byte("PROXY")) || bytes.Contains(result.Env, []byte("MAX_CONNECTIONS")) {
		t.Errorf("wrote\n%s\n%s", result.Conf, result.Env)
	}
	in.Vars["VERNEGATE_BACKEND_PROXY_PROTOCOL"] = "off"
	result = mustConvert(t, in, options())
	if bytes.Contains(result.Conf, []byte("proxy_protocol")) || !bytes.Contains(result.Env, []byte("VERNEGATE_BACKEND_PROXY_PROTOCOL=off\n")) {
		t.Errorf("although it is off, wrote\n%s\n%s", result.Conf, result.Env)
	}
}

func TestBrokerElsewhere(t *testing.T) {
	t.Parallel()
	o := options()
	o.BrokerListen = "10.0.0.9:1884"
	if env := mustConvert(t, fixture(t, "compose"), o).Env; !bytes.Contains(env, []byte("VERNEGATE_BACKENDS=10.0.0.9:1884\n")) {
		t.Errorf("wrote\n%s", env)
	}
	o.BrokerListen = "0.0.0.0:1883"
	in := fixture(t, "compose")
	if asked := mustConvert(t, in, o).Open; len(asked) != 1 || !strings.Contains(asked[0], "VERNEGATE_BACKENDS") {
		t.Errorf("asked %q", asked)
	}
	in.Vars["VERNEGATE_BACKENDS"] = "vernemq:1883"
	result := mustConvert(t, in, o)
	if len(result.Open) > 0 || !bytes.Contains(result.Env, []byte("VERNEGATE_BACKENDS=vernemq:1883\n")) {
		t.Errorf("asked %q and wrote\n%s", result.Open, result.Env)
	}
}

func TestWhatFilesReferToIsAskedFor(t *testing.T) {
	t.Parallel()
	conf := "plugins.dojot_acl_plugin = on\nlistener.ssl.default = $MY_POD_IP:8883\nlistener.ssl.default.certfile = $CERTS/$HOSTNAME.crt\n"
	asked := mustConvert(t, input(t, conf, ""), options()).Open
	if len(asked) != 1 || !strings.Contains(asked[0], "`VERNEGATE_TLS_CERT`: its value refers to CERTS,") {
		t.Errorf("asked %q", asked)
	}
}

func TestMistakesAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := convert.Convert(input(t, `allow_anonymos = on
include conf.d/more.conf
listener.ssl.default = 0.0.0.0:8883
listener.ssl.internal = 0.0.0.0:9883
listener.ssl.default.cafile = /a
listener.ssl.internal.cafile = /b
`, "PLUGIN_ACL_V2K_SERVICENAME=tenant:bridge\nPLUGIN_ACL_K2V_SERVICENAME=k2v bridge\n"), options())
	if err == nil {
		t.Fatal("converted")
	}
	lines := strings.Split(err.Error(), "\n")
	for _, want := range []string{
		"allow_anonymos (vernemq.conf line 1): no such key",
		"include (vernemq.conf line 2): no such key",
		"listener.ssl.internal.cafile (vernemq.conf line 6): ",
		`PLUGIN_ACL_V2K_SERVICENAME="tenant:bridge": `,
		`PLUGIN_ACL_K2V_SERVICENAME="k2v bridge": `,
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
			t.Errorf("nothing begins with %q in\n%v", want, err)
		}
	}
	if len(lines) != 5 {
		t.Errorf("%d mistakes:\n%v", len(lines), err)
	}
}

func TestReplacingTakesNothingElseAway(t *testing.T) {
	t.Parallel()
	result := mustConvert(t, fixture(t, "compose"), options())
	dir := filepath.Join(t.TempDir(), "out")
	if err := result.Replace(dir); err != nil {
		t.Fatalf("replacing what is not there: %v", err)
	}
	foreign := filepath.Join(dir, "notes")
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := result.Replace(dir); err == nil {
		t.Error("a folder with another file in it is replaced")
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("the other file: %v", err)
	}
}

func TestFolderIsWrittenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	result := mustConvert(t, fixture(t, "compose"), options())
	parent := t.TempDir()
	dir := filepath.Join(parent, "new")
	if err := result.Write(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range files(result) {
		if got := read(t, dir, name); got != want {
			t.Errorf("%s has\n%s", name, got)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "vernegate.env")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("vernegate.env has mode %v, %v", info.Mode(), err)
	}
	if err := result.Write(dir); !errors.Is(err, os.ErrExist) {
		t.Errorf("writing where there is something: %v", err)
	}
	if err := result.Replace(dir); err != nil {
		t.Errorf("replacing what was written: %v", err)
	}
	if got, want := read(t, dir, "vmq.acl"), files(result)["vmq.acl"]; got != want {
		t.Errorf("replaced, vmq.acl has\n%s", got)
	}
	if err := result.Write(filepath.Join(parent, "nowhere", "new")); err == nil {
		t.Error("written into a folder that does not exist")
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) != 1 {
		t.Errorf("beside the result there is %v, %v", entries, err)
	}
}
