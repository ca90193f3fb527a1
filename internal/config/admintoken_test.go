// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeToken(t *testing.T, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAdminTokenComesFromTheVariableOrAFile(t *testing.T) {
	t.Parallel()
	if mustLoad(t).Token().IsSet() {
		t.Error("there is a token by default")
	}
	const secret = "0123456789abcdef"
	direct := mustLoad(t, "VERNEGATE_ADMIN_TOKEN="+secret).Token()
	file := mustLoad(t, "VERNEGATE_ADMIN_TOKEN_FILE="+writeToken(t, secret+"\n")).Token()
	if !direct.IsSet() || direct != file {
		t.Errorf("got tokens %v and %v, want the same", direct, file)
	}
}

func TestVariablesInPathsAreReplaced(t *testing.T) {
	t.Parallel()
	const secret = "0123456789abcdef"
	dir := filepath.Dir(writeToken(t, secret))
	c := mustLoad(t, "WHERE="+dir, "VERNEGATE_STATE_DIR=$WHERE/state",
		"VERNEGATE_ADMIN_TOKEN_FILE=$WHERE/token", "VERNEGATE_ADMIN_READ_TOKEN_FILE=${WHERE}/token")
	if c.StateDir != dir+"/state" || !c.Token().IsSet() || !c.ReadToken().IsSet() {
		t.Errorf("got directory %q and tokens %v and %v, want $WHERE to be replaced", c.StateDir, c.Token(), c.ReadToken())
	}
	got := mistakesOf(t, "VERNEGATE_ADMIN_TOKEN_FILE=$NOWHERE/token")
	if want := `VERNEGATE_ADMIN_TOKEN_FILE="$NOWHERE/token": the variable NOWHERE in it is not set`; len(got) == 0 || got[0] != want {
		t.Errorf("got %q, want first %q", got, want)
	}
}

func TestAdminTokenMistakes(t *testing.T) {
	t.Parallel()
	const syntax = "expected at least 16 letters, digits or any of ._~+/- such as openssl rand -hex 16 prints"
	const good = "0123456789abcdef"
	absent := filepath.Join(t.TempDir(), "absent")
	for _, row := range []struct {
		environ []string
		want    string
	}{
		{[]string{"VERNEGATE_ADMIN_TOKEN=hunter2"}, "VERNEGATE_ADMIN_TOKEN: " + syntax},
		{[]string{"VERNEGATE_ADMIN_TOKEN_FILE=" + writeToken(t, "hunter2")}, "VERNEGATE_ADMIN_TOKEN_FILE: " + syntax},
		{[]string{"VERNEGATE_ADMIN_TOKEN_FILE=" + writeToken(t, "\n")}, "VERNEGATE_ADMIN_TOKEN_FILE: " + syntax},
		{[]string{"VERNEGATE_ADMIN_TOKEN_FILE=" + writeToken(t, "")}, "VERNEGATE_ADMIN_TOKEN_FILE: the file is empty"},
		{[]string{"VERNEGATE_ADMIN_READ_TOKEN_FILE=" + writeToken(t, "")}, "VERNEGATE_ADMIN_READ_TOKEN_FILE: the file is empty"},
		{[]string{"VERNEGATE_ADMIN_TOKEN_FILE=" + absent}, "VERNEGATE_ADMIN_TOKEN_FILE: open " + absent + ": no such file or directory"},
		{
			[]string{"VERNEGATE_ADMIN_TOKEN=" + good, "VERNEGATE_ADMIN_TOKEN_FILE=" + writeToken(t, good)},
			"VERNEGATE_ADMIN_TOKEN_FILE: expected only one of it and VERNEGATE_ADMIN_TOKEN",
		},
	} {
		got := mistakesOf(t, row.environ...)
		if len(got) != 1 || got[0] != row.want {
			t.Errorf("%q: got %q, want %q", row.environ, got, row.want)
		}
		if text := strings.Join(got, "\n"); strings.Contains(text, "hunter2") || strings.Contains(text, good) {
			t.Errorf("the token ended up in %q", text)
		}
	}
}

func TestTokenForReading(t *testing.T) {
	t.Parallel()
	if mustLoad(t).ReadToken().IsSet() {
		t.Error("there is a token for reading by default")
	}
	const secret = "fedcba9876543210"
	direct := mustLoad(t, "VERNEGATE_ADMIN_READ_TOKEN="+secret).ReadToken()
	file := mustLoad(t, "VERNEGATE_ADMIN_READ_TOKEN_FILE="+writeToken(t, secret+"\n")).ReadToken()
	if !direct.IsSet() || direct != file {
		t.Errorf("got tokens %v and %v, want the same", direct, file)
	}
	got := mistakesOf(t, "VERNEGATE_ADMIN_READ_TOKEN="+secret, "VERNEGATE_ADMIN_READ_TOKEN_FILE="+writeToken(t, secret))
	if want := "VERNEGATE_ADMIN_READ_TOKEN_FILE: expected only one of it and VERNEGATE_ADMIN_READ_TOKEN"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAdminInterfaceThatIsOff(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t, "VERNEGATE_ADMIN=off", "VERNEGATE_LISTEN=:8885"); c.Admin != "" {
		t.Errorf("it listens on %q", c.Admin)
	}
	got := mistakesOf(t, "VERNEGATE_ADMIN=off", "VERNEGATE_ADMIN_TOKEN=fedcba9876543210", "VERNEGATE_ADMIN_HOSTS=gate.example.org")
	want := []string{
		`VERNEGATE_ADMIN_HOSTS="gate.example.org": has no effect with VERNEGATE_ADMIN=off`,
		"VERNEGATE_ADMIN_TOKEN: has no effect with VERNEGATE_ADMIN=off",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
