// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/google/pprof/profile"
	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/bench/peer"
)

// An accountPart is something that a connection's processor time goes to. A sample of the profile belongs to the first
// part of which it has a function in its stack, or else to the last one.
type accountPart struct {
	name      string
	functions *regexp.Regexp
}

var accountParts = []accountPart{
	{"memory: allocation, garbage collection", regexp.MustCompile(
		`^runtime\.(mallocgc|newobject|makeslice|growslice|gc[A-Z]\w+|bgsweep|bgscavenge|\(\*mheap\)|\(\*mcache\)|wbBufFlush)`)},
	{"key exchange", regexp.MustCompile(`^crypto/(internal/fips140/)?(ecdh|mlkem)\.|^crypto/tls\.generateECDHEKey`)},
	{"signature of the server", regexp.MustCompile(`\.Sign$|\.SignASN1$|\.sign$`)},
	{"the device's signature, and its chain", regexp.MustCompile(`^crypto/ecdsa\.Verify|^crypto/x509\.\(\*Certificate\)\.(Verify|CheckSig)`)},
	{"tickets: opening and sealing", regexp.MustCompile(`^crypto/tls\.(\(\*Conn|\(\*Config)\)\.(EncryptTicket|DecryptTicket|encryptTicket|decryptTicket)|^crypto/tls\.ParseSessionState`)},
	{"TCP with the broker is opened", regexp.MustCompile(`^syscall\.(connect|socket|bind|getsockname|getpeername)|/internal/dial\.`)},
	{"kernel: TCP with the device is accepted", regexp.MustCompile(`^syscall\.accept|^internal/poll\.accept`)},
	{"kernel: both are closed", regexp.MustCompile(`^syscall\.(Close|shutdown|Shutdown)`)},
	{"kernel: waiting", regexp.MustCompile(`epoll|^runtime\.(futex|netpoll|usleep)`)},
	{"kernel: reading and writing", regexp.MustCompile(`^(internal/runtime/)?syscall`)},
	{"the rest of TLS: key schedule, records, messages", regexp.MustCompile(`^crypto/`)},
	{"vernegate: trust, owner, CONNECT, registry, log, metrics", regexp.MustCompile(`^github\.com/vernegate/`)},
	{"scheduler, timers", regexp.MustCompile(`^runtime\.`)},
}

// accountColumns are the connections that an account is made of.
var accountColumns = []struct {
	name    string
	version uint16
	resume  bool
}{
	{"TLS 1.3 full, µs", tls.VersionTLS13, false},
	{"resumed, µs", tls.VersionTLS13, true},
	{"TLS 1.2 full, µs", tls.VersionTLS12, false},
}

// account says what the processor time of a connection goes to, by profiles of the real binary under load.
func (s *scaling) account(ctx context.Context) (grid, error) {
	g := grid{head: []string{"part"}}
	for _, p := range accountParts {
		g.add(p.name)
	}
	g.add("all of it")
	for _, column := range accountColumns {
		g.head = append(g.head, column.name)
		costs, err := s.costs(ctx, column.version, column.resume)
		if err != nil {
			return g, err
		}
		for i, cost := range costs {
			g.rows[i] = append(g.rows[i], fmt.Sprintf("%.0f", cost*micro))
		}
	}
	return g, nil
}

// costs returns the seconds of a connection, by part, and their sum.
func (s *scaling) costs(ctx context.Context, version uint16, resume bool) (costs []float64, err error) {
	t, err := s.startTrial(ctx, func(st *testbed) (peer.Files, error) { return st.ecdsa, nil }, map[string]string{"VERNEGATE_ADMIN_TOKEN": adminToken})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	longer := s.effort
	longer.span = longer.profile
	t.effort = &longer
	var (
		each  float64
		taken []byte
		both  errgroup.Group
	)
	both.Go(func() error {
		values, err := connects(version, resume)(ctx, t)
		if err == nil {
			each = values[0]
		}
		return err
	})
	both.Go(func() (err error) {
		taken, err = t.proxy.Profile(ctx, s.effort.profile, adminToken)
		return err
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	shares, err := sharesOf(taken)
	for _, share := range shares {
		costs = append(costs, share*each)
	}
	return append(costs, each), err
}

// sharesOf returns which share of the samples of a profile belongs to each part.
func sharesOf(taken []byte) ([]float64, error) {
	p, err := profile.Parse(bytes.NewReader(taken))
	if err != nil {
		return nil, err
	}
	shares := make([]float64, len(accountParts))
	var all float64
	for _, sample := range p.Sample {
		n := float64(sample.Value[0])
		shares[partOf(sample)] += n
		all += n
	}
	if all == 0 {
		return nil, errors.New("nothing was sampled")
	}
	for i := range shares {
		shares[i] /= all
	}
	return shares, nil
}

// partOf returns the part that a sample belongs to.
func partOf(sample *profile.Sample) int {
	var names []string
	for _, location := range sample.Location {
		for _, line := range location.Line {
			names = append(names, line.Function.Name)
		}
	}
	i := slices.IndexFunc(accountParts, func(p accountPart) bool { return slices.ContainsFunc(names, p.functions.MatchString) })
	if i < 0 {
		return len(accountParts) - 1
	}
	return i
}
