// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/vernegate/vernegate/certacl"
)

// aclClient returns what asks certificate-acl. It starts nothing.
func (c config) aclClient() *certacl.Client {
	return &certacl.Client{
		URL:     string(c.ACLURL),
		Timeout: time.Duration(c.ACLRequestTimeout),
	}
}

// aclCache returns what remembers the answers of a client. Its owner closes it.
func (c config) aclCache(client *certacl.Client, m *identityMetrics) *certacl.Cache {
	return &certacl.Cache{
		Lookup:       m.timed(client.Lookup),
		Size:         int(c.ACLCacheSize),
		TTL:          time.Duration(c.ACLTTL),
		NegativeTTL:  time.Duration(c.ACLNegativeTTL),
		StaleIfError: time.Duration(c.ACLStaleIfError),
		Observe:      m.answered,
	}
}
