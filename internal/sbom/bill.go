// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"runtime/debug"
	"strings"
)

// bill is the part of CycloneDX 1.6 (ECMA-424) that there is something to say in.
type bill struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"` // of the bill: another binary has another one
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref     string `json:"bom-ref"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
	Hashes  []hash `json:"hashes,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"` // hex
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// billOf is the bill of a binary; version is that of its main module, which knows its
// own only where it was built from version control.
func billOf(info *debug.BuildInfo, version string) bill {
	main := componentOf("application", &debug.Module{Path: info.Main.Path, Version: cmp.Or(version, info.Main.Version)})
	b := bill{
		Format:     "CycloneDX",
		Spec:       "1.6",
		Version:    1,
		Metadata:   metadata{main},
		Components: []component{componentOf("library", &debug.Module{Path: "std", Version: info.GoVersion})},
	}
	for _, module := range info.Deps {
		b.Components = append(b.Components, componentOf("library", module))
	}
	uses := dependency{Ref: main.Ref}
	for _, c := range b.Components {
		uses.DependsOn = append(uses.DependsOn, c.Ref)
	}
	b.Dependencies = []dependency{uses}
	return b
}

// componentOf describes a module: the one that replaces it, if one does.
func componentOf(kind string, m *debug.Module) component {
	for m.Replace != nil {
		m = m.Replace
	}
	purl := "pkg:golang/" + m.Path + "@" + m.Version
	return component{Ref: purl, Type: kind, Name: m.Path, Version: m.Version, PURL: purl, Hashes: hashesOf(m.Sum)}
}

// hashesOf reads a sum as go.sum has it: "h1:" and SHA-256 in base64, over the names
// and contents of a module's files. Others are not known.
func hashesOf(sum string) []hash {
	encoded, ok := strings.CutPrefix(sum, "h1:")
	digest, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return nil
	}
	return []hash{{"SHA-256", hex.EncodeToString(digest)}}
}
