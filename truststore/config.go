// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Config says which files make up the trust store and by which rules they are
// used. All lists are paths; a file may be named more than once. Once given to
// Open they must not be changed.
type Config struct {
	// Certs are the server certificates, each file a leaf followed by its
	// intermediates, and Keys their private keys: the n-th key belongs to
	// the n-th certificate. At least one pair is needed.
	Certs, Keys []string

	// CAs are the bundles of CA certificates that clients are verified
	// against. At least one file is needed.
	CAs []string

	// CRLs are files of certificate revocation lists, PEM or DER.
	CRLs []string

	// Remotes, if not nil, returns the lists that are fetched from elsewhere: they
	// are followed like CRLs. It may return others each time; Store.Changed says when.
	Remotes func() []Remote

	// CRLOptional allows files of CRLs to be absent at the start, which is
	// then a warning. Once such a file has been in use it must not vanish.
	CRLOptional bool

	// TicketKeys are files of keys that session tickets are sealed with, one
	// key of 32 bytes a line in hex or base64: the first one of all seals new
	// tickets, every one opens those of this process and of others with the
	// same keys. Without any, tickets are the TLS server's own affair.
	TicketKeys []string

	// RefreshInterval is how often the files are read again without any
	// sign of change. Zero leaves it to watching.
	RefreshInterval time.Duration

	// CRLExpired is what happens to clients of a CA whose CRL is past its
	// nextUpdate: Allow accepts them for CRLExpiredGrace longer, then, as
	// with Deny, they are refused.
	CRLExpired      Policy
	CRLExpiredGrace time.Duration

	// CRLMissing is what happens to clients whose chain holds a CA that
	// there is no CRL of, or none that is about them.
	CRLMissing Policy

	// CANames is whether clients are told the names of the CAs.
	CANames CANames

	// ServerConfig returns the TLS configuration that handshakes under a
	// generation are made with. Each server pair and set of CAs is tried with
	// it before it counts, by a handshake in memory with each of TLS 1.2 and
	// 1.3 that it permits. The generation it is asked about may have a part of
	// the pairs, no CAs and no ticket keys; what it returns is not changed. Nil
	// is what crypto/tls does by itself.
	ServerConfig func(*Generation) *tls.Config

	// StartTimeout is how long Open waits for a first good generation; zero
	// means that it tries once.
	StartTimeout time.Duration

	// FetchTimeout is how long Open waits for lists that are Needed and have never
	// been fetched, at most StartTimeout.
	FetchTimeout time.Duration

	// Logger takes what the operator should know. Nil discards it.
	Logger *slog.Logger

	// OnReload, if not nil, is told what came of every time that the files
	// were read. The error is the reason of Refused and nil otherwise. It is
	// called by the goroutine that read them, one call at a time, and must not
	// call back into the store's Reload.
	OnReload func(Result, error)

	// OnSwap, if not nil, is told of every generation that replaces another,
	// when it has. It is called like OnReload, and the files are not read again
	// until it returns.
	OnSwap func(old, current *Generation)
}

// A Remote is a list that somebody else fetches and keeps in a file, which is
// always complete: it is replaced by renaming. What cannot be written is in memory.
type Remote struct {
	Name string // where it comes from, for people: takes the place of the path
	File string // the path where it is once it has been fetched

	// Data, if not nil, counts in place of File: what was fetched and could not be written there, which is
	// not changed any more. SHA256 is its hash.
	Data   []byte
	SHA256 [sha256.Size]byte

	// Needed is whether the operator has named it: a start waits for its first
	// fetch for Config.FetchTimeout, and then goes on without it.
	Needed bool
}

// validate reports everything that no change of a file can mend.
func (c *Config) validate() error {
	var mistakes []error
	report := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf(format, args...))
	}
	if len(c.Certs) == 0 {
		report("no file of a server certificate is named")
	}
	if len(c.Certs) != len(c.Keys) {
		report("%d certificate files are named but %d key files", len(c.Certs), len(c.Keys))
	}
	if len(c.CAs) == 0 {
		report("no file of CA certificates is named")
	}
	if c.RefreshInterval < 0 || c.CRLExpiredGrace < 0 || c.StartTimeout < 0 || c.FetchTimeout < 0 {
		report("durations must not be negative: refresh interval %v, CRL grace %v, start timeout %v, fetch timeout %v",
			c.RefreshInterval, c.CRLExpiredGrace, c.StartTimeout, c.FetchTimeout)
	}
	return errors.Join(mistakes...)
}

// paths returns every file of the store.
func (c *Config) paths() []string {
	var all []string
	for _, list := range [][]string{c.Certs, c.Keys, c.CAs, c.CRLs, c.TicketKeys} {
		all = append(all, list...)
	}
	return all
}
