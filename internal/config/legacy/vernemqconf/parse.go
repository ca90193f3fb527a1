// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// ContainerAddress is what VerneMQ's image replaces by the address of its
// container in a vernemq.conf.local, once a line. It is no comment.
const ContainerAddress = "###IPADDRESS###"

// A SyntaxError is a line that VerneMQ could not read.
type SyntaxError struct {
	Origin Origin
	Detail string // what was expected
}

// Error names the line. It does not quote it: there may be a secret in it.
func (e *SyntaxError) Error() string { return e.Origin.String() + ": " + e.Detail }

// Parse reads a file in the format of vernemq.conf, which is cuttlefish's; input
// is its name. It reads on behind a mistake: the settings are all that could be
// read, and the error joins a *SyntaxError for each line that could not.
func Parse(input string, text []byte) (Settings, error) {
	var settings Settings
	var errs []error
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		origin := Origin{Input: input, Line: number}
		setting, ok, detail := parseLine(strings.TrimRight(line, "\r\n"))
		setting.Origin = origin
		if detail != "" {
			errs = append(errs, &SyntaxError{Origin: origin, Detail: detail})
		} else if ok {
			settings = append(settings, setting)
		}
	}
	return settings, errors.Join(errs...)
}

var (
	// A word of a key is letters, digits, '_', '-' and escaped dots.
	settingLine = regexp.MustCompile(`^((?:\\\.|[A-Za-z0-9_-])+(?:\.(?:\\\.|[A-Za-z0-9_-])+)*)[ \t]*=[ \t]*(.*)$`)
	includeLine = regexp.MustCompile(`^include[ \t]+([A-Za-z0-9_.*/-]+)[ \t]*(?:#.*)?$`)
)

// parseLine reads one line without its end. A blank line and a comment are not
// ok and have no detail to report.
func parseLine(line string) (s Setting, ok bool, detail string) {
	line = strings.Trim(line, " \t")
	if line == "" || line[0] == '#' {
		return Setting{}, false, ""
	}
	if !utf8.ValidString(line) {
		return Setting{}, false, "expected UTF-8"
	}
	if include := includeLine.FindStringSubmatch(line); include != nil {
		return Setting{Key: "include", Value: include[1]}, true, ""
	}
	parts := settingLine.FindStringSubmatch(line)
	if parts == nil {
		return Setting{}, false, "expected key = value"
	}
	value, detail := parseValue(parts[2])
	if detail != "" {
		return Setting{}, false, fmt.Sprintf("%s: %s", parts[1], detail)
	}
	return Setting{Key: parts[1], Value: value}, true, ""
}

// parseValue reads what follows the equals sign.
func parseValue(text string) (value, detail string) {
	if strings.HasPrefix(text, "'") {
		return parseQuoted(text)
	}
	value = strings.TrimRight(text[:commentStart(text)], " \t")
	if value == "" {
		return "", "expected a value"
	}
	return value, ""
}

// parseQuoted reads a value in single quotes. Those over several lines are a
// younger invention than anything that is migrated from.
func parseQuoted(text string) (value, detail string) {
	if strings.HasPrefix(text, "'''") {
		return "", "a value over several lines is not understood"
	}
	value, rest, ok := strings.Cut(text[1:], "'")
	rest = strings.TrimLeft(rest, " \t")
	if !ok || rest != "" && rest[0] != '#' {
		return "", "expected a value that ends with its closing quote"
	}
	return value, ""
}

// commentStart returns where the comment in text begins, or its length. VerneMQ
// takes any '#' for the beginning of one.
func commentStart(text string) int {
	from := 0
	for {
		i := strings.IndexByte(text[from:], '#')
		if i < 0 {
			return len(text)
		}
		if !strings.HasPrefix(text[from+i:], ContainerAddress) {
			return from + i
		}
		from += i + len(ContainerAddress)
	}
}
