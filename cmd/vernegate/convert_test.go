// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/internal/config"
)

// oldConf is a vernemq.conf that leaves nothing to decide.
const oldConf = `plugins.dojot_acl_plugin = on
listener.ssl.default = 0.0.0.0:8883
listener.ssl.default.cafile = /vernemq/cert/cabundle.crt
listener.ssl.internal = 0.0.0.0:9883
listener.max_connections = 20000
`

// conversion runs "vernegate convert" with options, with "OUT" among them standing for
// a folder that does not exist.
func conversion(t *testing.T, stdin string, environ []string, args ...string) (code int, out, stdout, stderr string) {
	t.Helper()
	out = filepath.Join(t.TempDir(), "out")
	for i, arg := range args {
		if arg == "OUT" {
			args[i] = out
		}
	}
	var o, e bytes.Buffer
	code = runConvert(args, environ, strings.NewReader(stdin), &o, &e)
	return code, out, o.String(), e.String()
}

func written(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestConvertReadsWhateverThereIs(t *testing.T) {
	t.Parallel()
	encoded := base64.StdEncoding.EncodeToString([]byte(oldConf))
	file := filepath.Join(t.TempDir(), "vernemq.conf")
	envFile := filepath.Join(t.TempDir(), "old.env")
	for path, text := range map[string]string{file: oldConf, envFile: "# old\nexport VERNEMQ_CONF='" + encoded + "'\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		stdin   string
		environ []string
		args    []string
	}{
		"the environment":       {"", []string{"VERNEMQ_CONF=" + encoded}, nil},
		"a file":                {"", nil, []string{file}},
		"text on stdin":         {oldConf, nil, []string{"-"}},
		"base64 on stdin":       {encoded + "\n", nil, []string{"-"}},
		"a file of environment": {"", []string{"VERNEMQ_CONF=not this one"}, []string{"-env", envFile}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, _, stderr := conversion(t, c.stdin, c.environ, append([]string{"-out", "OUT", "-check"}, c.args...)...)
			if code != exitOK {
				t.Fatalf("ends with %d: %s", code, stderr)
			}
			if env := written(t, out, "vernegate.env"); !strings.Contains(env, "VERNEGATE_TLS_CA=/vernemq/cert/cabundle.crt\n") {
				t.Errorf("vernegate.env is\n%s", env)
			}
		})
	}
}

// TestConvertedEnvironmentIsAccepted holds what convert writes to what serve reads.
func TestConvertedEnvironmentIsAccepted(t *testing.T) {
	t.Parallel()
	_, out, _, stderr := conversion(t, oldConf, []string{"VERNEGATE_ACL_TTL=5s"}, "-out", "OUT", "-")
	if stderr != "" {
		t.Fatal(stderr)
	}
	environ := strings.Split(written(t, out, "vernegate.env"), "\n")
	c, err := config.Load(environ)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "0.0.0.0:8883" || c.ServiceListen != "0.0.0.0:9883" || c.TLSCA[0] != "/vernemq/cert/cabundle.crt" || c.Backends[0] != "127.0.0.1:1883" {
		t.Errorf("read %+v", c)
	}
	if got := time.Duration(c.ACLTTL); got != 5*time.Second {
		t.Errorf("VERNEGATE_ACL_TTL was set to 5s and became %v", got)
	}
}

func TestConvertCheck(t *testing.T) {
	t.Parallel()
	code, out, stdout, _ := conversion(t, oldConf+"listener.tcp.lan = 0.0.0.0:1884\n", nil, "-check", "-")
	if code != exitFailed {
		t.Errorf("with something to decide it ends with %d, want %d", code, exitFailed)
	}
	if !strings.Contains(stdout, "## To be decided by a person\n\n- `listener.tcp.lan`") {
		t.Errorf("printed\n%s", stdout)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("it wrote although it was only to check")
	}
	code, _, stdout, _ = conversion(t, oldConf+"listener.tcp.lan = 0.0.0.0:1884\n", nil, "-out", "OUT", "-")
	if code != exitOK || !strings.Contains(stdout, "to decide: `listener.tcp.lan`") {
		t.Errorf("without -check it ends with %d and prints\n%s", code, stdout)
	}
	if code, _, _, _ = conversion(t, oldConf, nil, "-check", "-"); code != exitOK {
		t.Errorf("with nothing to decide it ends with %d", code)
	}
}

func TestConvertWritesNothingWhenSomethingIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin   string
		environ []string
		args    []string
		want    []string
	}{
		"settings": {"nonsense\nallow_anonymos = on\nlistener.ssl.a = a:1\nlistener.ssl.b = b:1\n", nil, []string{"-"}, []string{"standard input line 1: ", "allow_anonymos (standard input line 2): ", "listener.ssl.b (standard input line 4): "}},
		"keys":     {oldConf + "allow_anonymos = on\nlistener.ssl.b = b:1\n", nil, []string{"-"}, []string{"allow_anonymos (standard input line 6): no such key", "listener.ssl.b (standard input line 7): a second listener"}},
		"values": {oldConf + "listener.ssl.default = nowhere\n", []string{"CERTIFICATE_ACL_REQ_TIMEOUT_MS=0"}, []string{"-"}, []string{
			`VERNEGATE_LISTEN="nowhere", from listener.ssl.default (standard input line 6): `, `CERTIFICATE_ACL_REQ_TIMEOUT_MS="0": `,
		}},
		"base64":    {"", []string{"VERNEMQ_CONF=a b c d *"}, nil, []string{"VERNEMQ_CONF: expected base64"}},
		"two":       {"", []string{"VERNEMQ_CONF=YSA9IGI="}, []string{"-"}, []string{"VERNEMQ_CONF is set beside -"}},
		"nothing":   {"", nil, nil, []string{"expected a configuration"}},
		"a file":    {"", nil, []string{"/nowhere/vernemq.conf"}, []string{"/nowhere/vernemq.conf"}},
		"options":   {"", nil, []string{"-broker-listen", "localhost", "a", "b"}, []string{"-broker-listen \"localhost\"", "expected one FILE"}},
		"an option": {"", nil, []string{"-nonsense"}, []string{"-nonsense"}},
		"env":       {"", nil, []string{"-env", "/nowhere/old.env"}, []string{"/nowhere/old.env"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, _, stderr := conversion(t, c.stdin, c.environ, append([]string{"-out", "OUT"}, c.args...)...)
			if code != exitMistake {
				t.Errorf("ends with %d, want %d", code, exitMistake)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, stderr)
				}
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("something is written")
			}
		})
	}
	if code, _, _, stderr := conversion(t, oldConf, nil, "-"); code != exitMistake || !strings.Contains(stderr, "expected -out") {
		t.Errorf("without -out and -check it ends with %d: %s", code, stderr)
	}
	there := filepath.Join(t.TempDir(), "out")
	for range 2 { // an init container may run again
		if code, _, _, stderr := conversion(t, oldConf, nil, "-replace", "-out", there, "-"); code != exitOK {
			t.Errorf("with -replace it ends with %d: %s", code, stderr)
		}
	}
	if code, _, _, stderr := conversion(t, oldConf, nil, "-out", there, "-"); code != exitMistake || !strings.Contains(stderr, there) || !strings.Contains(stderr, "or -replace as well") {
		t.Errorf("with a folder that exists it ends with %d: %s", code, stderr)
	}
	if code, _, _, _ := conversion(t, oldConf, nil, "-out", filepath.Join(there, "a", "b"), "-"); code != exitFailed {
		t.Errorf("where it cannot write it ends with %d", code)
	}
}

func TestConvertHelps(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-h"}, {"--help"}, {"old.conf", "-h"}} {
		code, _, stdout, stderr := conversion(t, "", nil, args...)
		if code != exitOK || !strings.Contains(stdout, "-broker-listen address") || stderr != "" {
			t.Errorf("%q ends with %d: %s%s", args, code, stdout, stderr)
		}
	}
}

func TestConvertTakesOptionsInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-", "-out", "OUT"}, {"-out", "OUT", "-"}, {"-check", "-", "-out", "OUT"}, {"-", "-out=OUT", "-check"}, {"-out", "OUT", "--", "-"},
	} {
		for i, arg := range args {
			if arg == "-out=OUT" {
				args[i] = "-out=" + filepath.Join(t.TempDir(), "new")
			}
		}
		code, _, stdout, stderr := conversion(t, oldConf, nil, args...)
		if stderr != "" {
			t.Errorf("%q ends with %d: %s%s", args, code, stdout, stderr)
		}
	}
	for _, args := range [][]string{{"a", "-check", "b"}, {"-check", "--", "a", "-b"}} {
		if code, _, _, stderr := conversion(t, "", nil, args...); code != exitMistake || !strings.Contains(stderr, "expected one FILE, not 2") {
			t.Errorf("%q ends with %d: %s", args, code, stderr)
		}
	}
}

func TestEnvFile(t *testing.T) {
	t.Parallel()
	vars, err := parseEnvFile("f", "# comment\n\n A=1\nexport B=two words\nC='x'\nD=\"y\"\nE=\nF='\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "1", "B": "two words", "C": "x", "D": "y", "E": "", "F": "'"} {
		if got, ok := vars[name]; !ok || got != want {
			t.Errorf("%s is %q, %v, want %q", name, got, ok, want)
		}
	}
	_, err = parseEnvFile("f", "A=1\nnonsense\n=x\nA B=1\n")
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.HasPrefix(err.Error(), "f line 2: ") {
		t.Errorf("mistakes are %v", err)
	}
}
