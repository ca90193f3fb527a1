// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/crlfetch"
)

// checkFetchTimeout is how long Check waits for the servers of all lists.
const checkFetchTimeout = 30 * time.Second

// tryListFetcher returns what fetches lists into a folder of its own, which goes with
// close: the copies of a vernegate at work are left alone. It is nil if there is nothing
// to fetch.
func tryListFetcher(cfg config.Config, https func() *tls.Config) (*listFetcher, error) {
	if cfg.StateDir == "" || !cfg.FetchesLists() {
		return newListFetcher(cfg, https, nil, nil)
	}
	dir, _, err := listDirectory(string(cfg.StateDir))
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp(dir, "check-")
	if err != nil {
		return nil, fmt.Errorf("VERNEGATE_STATE_DIR: %w", err)
	}
	cfg.StateDir = scratch
	l, err := newListFetcher(cfg, https, nil, nil)
	if err == nil {
		l.cleanUp = func() { _ = os.RemoveAll(scratch) }
	}
	return l, err
}

// tryListTLS returns what https with servers of CRLs is to be like. Where the CAs for it are wrong, which is told with
// the other files of a client, no server is believed.
func tryListTLS(ctx context.Context, cfg config.Config) func() *tls.Config {
	cas, err := openListCAs(ctx, cfg, 0, nil)
	nobody := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	return func() *tls.Config {
		if err != nil {
			return nobody
		}
		return clientFiles{crl: cas}.listTLS()
	}
}

// checkLists asks each server for its list, but for those that were asked before.
func (r *report) checkLists(ctx context.Context, lists *listFetcher, before []crlfetch.Status) {
	isNew := func(s crlfetch.Status) bool {
		return !slices.ContainsFunc(before, func(old crlfetch.Status) bool { return old.Name == s.Name })
	}
	if !slices.ContainsFunc(lists.status(), isNew) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkFetchTimeout)
	defer cancel()
	lists.fetcher.FetchOnce(ctx)
	for _, s := range lists.status() {
		switch {
		case !isNew(s):
		case s.Err != "":
			r.failedLines("", fmt.Errorf("CRL at %s (%s): %s", s.Name, s.Origin, s.Err))
		default:
			r.ok("CRL at %s (%s) has %d bytes", s.Name, s.Origin, s.Size)
			if s.NotKept != "" {
				r.warn("CRL at %s (%s) cannot be kept: %s", s.Name, s.Origin, s.NotKept)
			}
		}
	}
}
