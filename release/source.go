// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vernegate/vernegate/release/command"
)

// A source is the tree that a release is made of.
type source struct {
	root   string
	commit string    // "+dirty" behind it if the tree has changes
	time   time.Time // of the commit, in UTC
}

// readSource asks git for the commit. SOURCE_DATE_EPOCH and REVISION stand for it
// where there is no git, as in an archive of the sources.
func readSource(ctx context.Context, root string) (source, error) {
	s := source{root: root, commit: os.Getenv("REVISION")}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if s.commit == "" {
		head, err := s.git(ctx, "rev-parse", "HEAD")
		if err != nil {
			return s, fmt.Errorf("%w (REVISION and SOURCE_DATE_EPOCH can say what git would)", err)
		}
		changes, err := s.git(ctx, "status", "--porcelain")
		if err != nil {
			return s, err
		}
		if s.commit = head; changes != "" {
			s.commit += "+dirty"
		}
	}
	if epoch == "" {
		var err error
		if epoch, err = s.git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return s, err
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return s, fmt.Errorf("SOURCE_DATE_EPOCH %q: expected seconds since 1970", epoch)
	}
	s.time = time.Unix(seconds, 0).UTC()
	return s, nil
}

func (s source) dirty() bool { return strings.HasSuffix(s.commit, "+dirty") }

func (s source) git(ctx context.Context, args ...string) (string, error) {
	out, err := command.Output(ctx, s.root, nil, "git", args...)
	return strings.TrimSpace(string(out)), err
}
