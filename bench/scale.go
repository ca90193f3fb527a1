// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/vernegate/vernegate/bench/peer"
)

// documentFile is where compare and scale write tables, between marks.
const documentFile = "docs/performance.md"

// A study is one question about how cost grows. It writes its charts itself, if that is asked for, and adds to what is
// known what others count with.
type study struct {
	key string
	run func(*scaling, context.Context) (grid, error)
}

// studies are in the order of the document, but that the first one comes before the testbed: it starts processes that
// need all processors.
var studies = []study{
	{"sessions", (*scaling).sessions},
	{"crl", (*scaling).revoked},
	{"cas", (*scaling).authorities},
	{"owners", (*scaling).owners},
	{"socket", (*scaling).socket},
	{"swap", (*scaling).swap},
	{"plain", (*scaling).plain},
	{"account", (*scaling).account},
	{"floor", (*scaling).floor},
}

// A scaling is what studies share.
type scaling struct {
	*options
	dir     string
	kind    *peer.Kind // vernegate
	testbed *testbed   // nil until a study asks for it
}

// scale answers the questions that are asked for and says where each stands.
func scale(ctx context.Context, o *options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "vernegate-scale")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &scaling{options: o, dir: dir, kind: peer.Kinds(o.vernegate, "")[0]}
	if s.kind.Missing != "" {
		return fmt.Errorf("there is no %s: %s", o.vernegate, s.kind.Missing)
	}
	defer func() { err = errors.Join(err, s.close()) }()

	for _, study := range studies {
		if !o.rows.MatchString(study.key) {
			continue
		}
		text, err := s.ask(ctx, &study)
		if err != nil {
			return fmt.Errorf("measuring %s: %w", study.key, err)
		}
		fmt.Fprintf(out, "%s\n\n%s\n", study.key, text)
		if !o.write {
			continue
		}
		if err := rewrite(documentFile, study.key, text); err != nil {
			return err
		}
	}
	return nil
}

// ask returns what a study has found.
func (s *scaling) ask(ctx context.Context, study *study) (string, error) {
	env, err := newEnvironment()
	if err != nil {
		return "", err
	}
	found, err := study.run(s, ctx)
	if err != nil {
		return "", err
	}
	described, err := env.describe(nil)
	return fmt.Sprintf("%s\n%s\n", found.markdown(), described), err
}

func (s *scaling) close() error {
	if s.testbed == nil {
		return nil
	}
	return s.testbed.close()
}

// startTrial starts vernegate on the testbed that all studies but the first share.
func (s *scaling) startTrial(ctx context.Context, files func(*testbed) (peer.Files, error), env map[string]string) (*trial, error) {
	if err := s.makeTestbed(); err != nil {
		return nil, err
	}
	f, err := files(s.testbed)
	if err != nil {
		return nil, err
	}
	return s.testbed.startTrial(ctx, s.kind, f, &s.effort, env)
}

// makeTestbed makes the testbed, unless another study has.
func (s *scaling) makeTestbed() (err error) {
	if s.testbed == nil {
		s.testbed, err = newPinnedTestbed(s.dir)
	}
	return err
}

// A grid is a table of text.
type grid struct {
	head []string
	rows [][]string
}

func (g *grid) add(cells ...string) { g.rows = append(g.rows, cells) }

func (g *grid) markdown() string {
	var b strings.Builder
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(g.head)
	b.WriteString(strings.Repeat("|---", len(g.head)) + "|\n")
	for _, row := range g.rows {
		line(row)
	}
	return b.String()
}
