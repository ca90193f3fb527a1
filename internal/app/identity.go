// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/ownerevents"
)

// aclClient returns what asks certificate-acl. It starts nothing.
func aclClient(cfg config.Config, files clientFiles) *certacl.Client {
	return &certacl.Client{
		URL:     string(cfg.ACLURL),
		Timeout: time.Duration(cfg.ACLRequestTimeout),
		TLS:     files.aclTLS,
		Token:   files.aclToken,
	}
}

// aclCache returns what remembers the answers of a client. Its owner closes it.
func aclCache(cfg config.Config, client *certacl.Client, m *identityMetrics, log *slog.Logger) *certacl.Cache {
	return &certacl.Cache{
		Lookup:       m.timed(client.Lookup),
		Size:         int(cfg.ACLCacheSize),
		TTL:          time.Duration(cfg.ACLTTL),
		NegativeTTL:  time.Duration(cfg.ACLNegativeTTL),
		StaleIfError: time.Duration(cfg.ACLStaleIfError),
		Hold:         holdTold,
		Order:        ownerevents.OldAge,
		Observe:      m.answered,
		Panicked:     panicLogger(log),
	}
}

// panicPause is how long no further panic is logged after one: the same mistake may meet every device.
const panicPause = time.Minute

// panicLogger returns what tells of a mistake in this program, which has cost one question.
func panicLogger(log *slog.Logger) func(*certacl.PanicError) {
	sometimes := rate.Sometimes{Interval: panicPause}
	return func(p *certacl.PanicError) {
		sometimes.Do(func() {
			log.Error("asking certificate-acl made vernegate panic; please report it", "err", p, "stack", string(p.Stack))
		})
	}
}
