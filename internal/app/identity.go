// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"time"

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
func aclCache(cfg config.Config, client *certacl.Client, m *identityMetrics) *certacl.Cache {
	return &certacl.Cache{
		Lookup:       m.timed(client.Lookup),
		Size:         int(cfg.ACLCacheSize),
		TTL:          time.Duration(cfg.ACLTTL),
		NegativeTTL:  time.Duration(cfg.ACLNegativeTTL),
		StaleIfError: time.Duration(cfg.ACLStaleIfError),
		Hold:         holdTold,
		Order:        ownerevents.OldAge,
		Observe:      m.answered,
	}
}
