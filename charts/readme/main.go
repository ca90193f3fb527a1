// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command readme writes the table of values in a chart's README from the comments
// in its values.yaml:
//
//	go run ./readme vernegate
//
// A comment that begins with "# --" is the description of the value below it; "(type)"
// at its beginning is the type of one that is null. A value that has no such comment is
// described by those in it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The table is between these lines of the README.
const (
	begin = "<!-- begin values -->\n"
	end   = "<!-- end values -->\n"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: readme CHART")
		os.Exit(2)
	}
	if err := update(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "readme:", err)
		os.Exit(1)
	}
}

// update writes the table into the README of the chart in a folder.
func update(chart string) error {
	file := filepath.Join(chart, "README.md")
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	values, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	after, err := withTable(before, values)
	if err != nil {
		return fmt.Errorf("%s: %w", chart, err)
	}
	return os.WriteFile(file, after, 0o644)
}

// withTable returns a README with the table of these values in its place.
func withTable(readme, values []byte) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(values, &document); err != nil {
		return nil, err
	}
	head, rest, found := bytes.Cut(readme, []byte(begin))
	_, tail, closed := bytes.Cut(rest, []byte(end))
	if !found || !closed {
		return nil, fmt.Errorf("expected %q and %q in README.md", begin, end)
	}
	var b bytes.Buffer
	b.Write(head)
	b.WriteString(begin + "| value | type | default | meaning |\n|---|---|---|---|\n")
	if err := writeRows(&b, "", document.Content[0]); err != nil {
		return nil, err
	}
	b.WriteString(end)
	b.Write(tail)
	return b.Bytes(), nil
}

// writeRows writes a row for each described value of a mapping, and of those in it.
func writeRows(b *bytes.Buffer, prefix string, mapping *yaml.Node) error {
	for i := 0; i < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		path := prefix + key.Value
		description, described := strings.CutPrefix(lastParagraph(key.HeadComment), "# -- ")
		if !described && value.Kind == yaml.MappingNode && len(value.Content) > 0 {
			if err := writeRows(b, path+".", value); err != nil {
				return err
			}
			continue
		}
		kind, description := typeOf(value, description)
		text, err := defaultOf(value)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", path, kind, text, description)
	}
	return nil
}

// lastParagraph returns the part of a comment that is right above what it belongs to.
func lastParagraph(comment string) string {
	paragraphs := strings.Split(comment, "\n\n")
	return paragraphs[len(paragraphs)-1]
}

// typeOf returns the type of a value, and its description without it.
func typeOf(value *yaml.Node, description string) (kind, rest string) {
	if strings.HasPrefix(description, "(") {
		kind, rest, _ = strings.Cut(description[1:], ") ")
		return kind, rest
	}
	kinds := map[string]string{"!!map": "object", "!!seq": "list", "!!str": "string", "!!int": "int", "!!bool": "bool"}
	return kinds[value.Tag], description
}

// defaultOf returns a value as JSON; a long one is left to values.yaml.
func defaultOf(value *yaml.Node) (string, error) {
	const longest = 60 // bytes that still look well in a table
	var decoded any
	if err := value.Decode(&decoded); err != nil {
		return "", err
	}
	text, err := json.Marshal(decoded)
	if err != nil {
		return "", err
	}
	switch {
	case decoded == nil:
		return "", nil
	case len(text) > longest:
		return "see values.yaml", nil
	}
	return "`" + string(text) + "`", nil
}
