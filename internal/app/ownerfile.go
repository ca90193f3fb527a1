// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/proxy"
)

// openOwnerFile opens the file of owners, nil if there is none, or returns what is wrong with it as a *FilesError. how is
// completed by the configuration.
func openOwnerFile(ctx context.Context, cfg config.Config, how ownerfile.Config) (*ownerfile.Store, error) {
	if !cfg.Identity.Has(config.File) || cfg.IdentityFile == "" {
		return nil, nil
	}
	how.Path, how.Check = string(cfg.IdentityFile), proxy.CheckOwner
	how.RefreshInterval = time.Duration(cfg.TrustRefreshInterval)
	store, err := ownerfile.Open(ctx, how)
	if err != nil {
		return nil, &FilesError{withVariables(cfg, err)}
	}
	return store, nil
}

// fileFunc reads owners from a file.
func fileFunc(store *ownerfile.Store) proxy.OwnerFunc {
	return func(_ context.Context, peer proxy.Peer) (owner string, ok bool, err error) {
		owner, ok = store.Current().Owner(peer.Chain[0], peer.Fingerprint)
		return owner, ok, nil
	}
}

// ownerFollower has the sessions looked at that a new table of owners may concern, beside the store, which goes on following
// the file.
type ownerFollower struct {
	mu      sync.Mutex
	ctx     context.Context // nil before begin and after wait
	server  *proxy.Server
	running sync.WaitGroup
}

// begin has to come before a table can be replaced.
func (f *ownerFollower) begin(ctx context.Context, server *proxy.Server) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ctx, f.server = ctx, server
}

// swapped is the store's OnSwap.
func (f *ownerFollower) swapped(old, current *ownerfile.Table) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil {
		return
	}
	ctx, server := f.ctx, f.server
	f.running.Go(func() {
		server.RecheckWhere(ctx, func(peer proxy.Peer) bool {
			before, had := old.Owner(peer.Chain[0], peer.Fingerprint)
			now, has := current.Owner(peer.Chain[0], peer.Fingerprint)
			return had != has || before != now
		})
	})
}

// wait returns when nothing is being followed up, and nothing will be.
func (f *ownerFollower) wait() {
	f.mu.Lock()
	f.ctx = nil
	f.mu.Unlock()
	f.running.Wait()
}

// identityFileStatus tells operators how the file of owners is; nil = there is none.
func identityFileStatus(store *ownerfile.Store) *admin.IdentityFile {
	if store == nil {
		return nil
	}
	s := store.Status()
	f := &admin.IdentityFile{Path: untrusted.Text(s.Path), Lines: s.Lines, Loaded: s.Loaded, Pending: s.Pending, Notices: linesOf(s.Notices)}
	if s.Err != nil {
		f.Refused, f.RefusedSince, f.Errors = true, s.Since, linesOf(strings.Split(s.Err.Error(), "\n"))
	}
	return f
}

// linesOf makes lines about a file fit for display, and bounds how many those are.
func linesOf(lines []string) (shown []string) {
	const most = 20
	for _, line := range lines[:min(len(lines), most)] {
		shown = append(shown, untrusted.Text(line))
	}
	if more := len(lines) - most; more > 0 {
		shown = append(shown, fmt.Sprintf("and %d more", more))
	}
	return shown
}

// ownerFileMetrics tell how the file of owners is. All are 0 without one.
func ownerFileMetrics(status func() ownerfile.Status) []prometheus.Collector {
	gauge := func(name, help string, value func(ownerfile.Status) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(status()) })
	}
	return []prometheus.Collector{
		gauge("vernegate_identity_file_lines", "Certificates and subjects that have an owner in the file of owners in use.",
			func(s ownerfile.Status) float64 { return float64(s.Lines) }),
		gauge("vernegate_identity_file_loaded_timestamp_seconds", "When the file of owners in use was read.",
			func(s ownerfile.Status) float64 {
				if s.Loaded.IsZero() {
					return 0
				}
				return float64(s.Loaded.UnixMilli()) / 1000
			}),
		gauge("vernegate_identity_file_refused", "1 while the file of owners is no good and its last good version stays in use, else 0.",
			func(s ownerfile.Status) float64 {
				if s.Err != nil {
					return 1
				}
				return 0
			}),
	}
}
