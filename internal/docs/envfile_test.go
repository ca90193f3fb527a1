// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config"
)

// envFile is what the packages install as /etc/vernegate/vernegate.env.
const envFile = "packaging/etc/vernegate.env"

const envFileHead = `# Settings of vernegate for systemd, one NAME=value in a line. Every variable is here, with its
# default, in a comment. These have to be set at least:
#
#   VERNEGATE_TLS_CERT, VERNEGATE_TLS_KEY, VERNEGATE_TLS_CA   who vernegate is, and whom it trusts
#   CERTIFICATE_ACL_URL, or VERNEGATE_IDENTITY                whose a certificate is
#   VERNEGATE_BACKENDS                                        the broker
#
# /etc/vernegate/tls is a folder for certificates and keys that only root and vernegate can read.
#
# A value with a backslash, a quotation mark or several lines goes between single quotes.
# "systemctl restart vernegate" makes a change count. "man vernegate" says how to check it before.
# More is at https://github.com/vernegate/vernegate/blob/main/docs/configuration.md
`

// TestEnvFileHasAllVariables compares the file with the program and with what the
// documentation says of each variable.
func TestEnvFileHasAllVariables(t *testing.T) {
	t.Parallel()
	path := filepath.Join("../..", envFile)
	want := envFileHead + envFileVariables(t, pageWith(t, "variables"))
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, path); got != want {
		t.Errorf("%s is not what is to be installed (go test ./internal/docs -update writes it):\n%s", envFile, want)
	}
	for line := range strings.Lines(want) {
		if line != "\n" && line[0] != '#' {
			t.Errorf("the line %q is not a comment, so that it sets something", line)
		}
	}
	vars := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^#([A-Z_]+)=(.*)$`).FindAllStringSubmatch(want, -1) {
		if vars[line[1]] || line[2] != config.Default(line[1]) {
			t.Errorf("%s is there twice, or with another default than %q: %q", line[1], config.Default(line[1]), line[2])
		}
		vars[line[1]] = true
	}
	for _, name := range config.Variables() {
		if !vars[name] {
			t.Errorf("%s lacks %s", envFile, name)
		}
	}
}

// envFileVariables writes the rows of the page as comments, under its headings.
func envFileVariables(t *testing.T, page string) string {
	t.Helper()
	var b strings.Builder
	heading := ""
	for line := range strings.Lines(page) {
		if text, is := strings.CutPrefix(line, "## "); is {
			heading = strings.TrimSpace(text)
			continue
		}
		if text, is := strings.CutPrefix(line, "### "); is {
			heading = strings.TrimSpace(text)
			continue
		}
		row := variableRow.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if row == nil {
			continue
		}
		if heading != "" {
			b.WriteString("\n\n# ---- " + plain(heading) + "\n")
			heading = ""
		}
		b.WriteString("\n" + wrapComment(sentence(plain(row[3])), 96) + "#" + row[1] + "=" + row[2] + "\n")
	}
	return b.String()
}

// plain is Markdown without its marks.
func plain(markdown string) string {
	markdown = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(markdown, "$1")
	return strings.NewReplacer("`", "", "**", "", `\|`, "|").Replace(markdown)
}

// sentence gives a text the full stop that a cell of a table goes without, and a
// capital letter unless it begins with a value.
func sentence(text string) string {
	if first, _, _ := strings.Cut(text, " "); regexp.MustCompile(`^[a-z]+,?$`).MatchString(first) {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	if !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// wrapComment breaks a text into comment lines of at most this many bytes, unless a
// word is longer.
func wrapComment(text string, width int) string {
	var b strings.Builder
	line := "#"
	for _, word := range strings.Fields(text) {
		if line != "#" && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	return b.String() + line + "\n"
}
