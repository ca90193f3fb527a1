// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// revoked has more and more revoked certificates.
func (s *scaling) revoked(ctx context.Context) (grid, error) {
	g := grid{head: []string{"revoked", "until it accepts, s", "memory, MB", "TLS 1.3 full, µs", "resumed, µs"}}
	for _, n := range s.effort.crls {
		t, err := s.startTrial(ctx, func(st *testbed) (peer.Files, error) { return st.withCRL(n, 1) }, nil)
		if err != nil {
			return g, err
		}
		memory, full, resumed, err := t.connecting(ctx)
		if err := errors.Join(err, t.end()); err != nil {
			return g, err
		}
		g.add(strconv.Itoa(n), number(t.ready.Seconds()), number(memory*mega), number(full*micro), number(resumed*micro))
	}
	return g, nil
}

// withCRL returns files like the usual ones but for a CRL with n entries.
func (s *testbed) withCRL(n int, number int64) (peer.Files, error) {
	files := s.ecdsa
	list := s.ca.CRL(certtest.CRLOptions{Number: number, Fill: n})
	file, err := os.CreateTemp(s.dir, fmt.Sprintf("crl-%d-", n))
	if err != nil {
		return files, err
	}
	files.CRL = file.Name()
	_, err = file.Write(certtest.PEMEncodeCRL(list))
	return files, errors.Join(err, file.Close())
}

// connecting returns the memory of vernegate before anybody has come, in bytes, and what connections cost, in seconds.
func (t *trial) connecting(ctx context.Context) (memory, full, resumed float64, err error) {
	if memory, err = t.memoryAfter(ctx, t.effort.settle); err != nil {
		return 0, 0, 0, err
	}
	fulls, err := connects(tls.VersionTLS13, false)(ctx, t)
	if err != nil {
		return 0, 0, 0, err
	}
	resumes, err := connects(tls.VersionTLS13, true)(ctx, t)
	if err != nil {
		return 0, 0, 0, err
	}
	return memory, fulls[0], resumes[0], nil
}

// authorities has devices of the last of one CA, and of many, each with a CRL of its own.
func (s *scaling) authorities(ctx context.Context) (grid, error) {
	g := grid{head: []string{"CAs", "memory, MB", "TLS 1.3 full, µs", "resumed, µs"}}
	for _, n := range []int{1, 100} {
		var last *certtest.CA
		t, err := s.startTrial(ctx, func(st *testbed) (files peer.Files, err error) {
			files, last, err = st.withCAs(n)
			return files, err
		}, nil)
		if err != nil {
			return g, err
		}
		usual := s.testbed.devices
		s.testbed.devices = s.testbed.issueDevices(last, nil, s.effort.fleet)
		memory, full, resumed, err := t.connecting(ctx)
		s.testbed.devices = usual
		if err := errors.Join(err, t.end()); err != nil {
			return g, err
		}
		g.add(strconv.Itoa(n), number(memory*mega), number(full*micro), number(resumed*micro))
	}
	return g, nil
}

// withCAs returns files with a bundle of n CAs, and the last of those.
func (s *testbed) withCAs(n int) (files peer.Files, last *certtest.CA, err error) {
	var bundle, lists []byte
	for i := range n {
		last = certtest.NewCA(fmt.Sprintf("CA %d of %d", i+1, n), certtest.NotAfter(time.Now().Add(validity)))
		bundle = append(bundle, last.PEM()...)
		lists = append(lists, certtest.PEMEncodeCRL(last.CRL(certtest.CRLOptions{Number: 1}))...)
	}
	server := last.Issue("localhost", certtest.Server("localhost", "127.0.0.1"))
	err = s.writeFiles(fmt.Sprintf("%d-cas", n), &files, server, bundle, lists)
	return files, last, err
}

// adminToken is needed to have vernegate collect garbage.
const adminToken = "only-for-the-time-of-a-bench"

// owners has a cache of owners that holds all devices, and one that is too small and never has the next device.
func (s *scaling) owners(ctx context.Context) (grid, error) {
	devices := s.effort.cacheDevices
	g := grid{head: []string{"devices", "cache", "asked certificate-acl", "TLS 1.3 full, µs", "heap, MB", "… of an owner, B"}}
	few := devices / 20
	var heapOfFew float64
	for _, size := range []int{few, devices * 5} {
		t, err := s.startTrial(ctx, func(st *testbed) (peer.Files, error) { return st.ecdsa, nil }, map[string]string{
			"VERNEGATE_ACL_CACHE_SIZE": strconv.Itoa(size), "VERNEGATE_ADMIN_TOKEN": adminToken,
		})
		if err != nil {
			return g, err
		}
		asked, cost, heap, err := t.asking(ctx, devices)
		if err := errors.Join(err, t.end()); err != nil {
			return g, err
		}
		owner := "–"
		if size == few {
			heapOfFew = heap
		} else {
			owner = number((heap - heapOfFew) / float64(devices-few))
		}
		g.add(strconv.Itoa(devices), strconv.Itoa(size), fmt.Sprintf("%.0f %%", 100*asked), number(cost*micro), number(heap*mega), owner)
	}
	return g, nil
}

// asking has each device in turn connect. It returns the part of connections for which certificate-acl was asked, the
// cost of one in seconds, and the bytes of the heap afterwards.
func (t *trial) asking(ctx context.Context, devices int) (asked, cost, heap float64, err error) {
	f := t.fleet(devices)
	for first := 0; first < devices; first += t.effort.fleet {
		sessions, err := f.Open(first, min(t.effort.fleet, devices-first))
		if err != nil {
			return 0, 0, 0, err
		}
		sessions.Close()
	}
	before, err := t.proxy.Metrics(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	s, err := t.measureLoad(ctx, load.NewConnectLoad(f, t.effort.atOnce).Reconnect(), t.effort.span, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	after, err := t.proxy.Metrics(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	const answers = "vernegate_identity_answers_total"
	misses := after.Sum(answers, `outcome="miss"`) - before.Sum(answers, `outcome="miss"`)
	all := after.Sum(answers) - before.Sum(answers)
	live, err := t.proxy.Live(ctx, adminToken)
	return misses / all, s.each(), live.Heap, err
}

// swap replaces the CRL by one with as many entries as the largest that was studied, again and again, while sessions
// send messages.
func (s *scaling) swap(ctx context.Context) (grid, error) {
	entries := s.effort.crls[len(s.effort.crls)-1]
	var next []string
	t, err := s.startTrial(ctx, func(st *testbed) (peer.Files, error) {
		for i := range s.effort.swaps {
			files, err := st.withCRL(entries, int64(2+i))
			if err != nil {
				return files, err
			}
			next = append(next, files.CRL)
		}
		return st.withCRL(0, 1)
	}, nil)
	if err != nil {
		return grid{}, err
	}
	var g grid
	_, err = t.withSessions(s.effort.activeSessions, func(sessions load.Sessions) ([]float64, error) {
		var err error
		g, err = t.swapAll(ctx, load.NewEchoLoad(sessions, messageSize), entries, next)
		return nil, err
	})
	return g, errors.Join(err, t.end())
}
