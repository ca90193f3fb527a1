// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/broker"
	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A stand is what the proxies are measured on: certificates, a certificate-acl and processors. The broker and the
// devices are this process.
type stand struct {
	dir        string
	ca         *certtest.CA
	acl        *stack.ACL
	proxyCPUs  peer.CPUs
	devices    []tls.Certificate
	ecdsa, rsa peer.Files
}

// validity is long enough for any bench.
const validity = 48 * time.Hour

// newStand makes a stand whose files lie in dir. The caller closes it.
func newStand(dir string) (*stand, error) {
	acl, err := stack.StartACL()
	if err != nil {
		return nil, err
	}
	s := &stand{dir: dir, acl: acl, ca: certtest.NewCA("bench", certtest.NotAfter(time.Now().Add(validity)))}
	return s, errors.Join(
		s.write("ecdsa", &s.ecdsa),
		s.write("rsa", &s.rsa, certtest.RSA()),
	)
}

// newStandApart is newStand with a processor for the proxies, which this process keeps off from then on.
func newStandApart(dir string) (*stand, error) {
	proxyCPUs, err := standApart()
	if err != nil {
		return nil, err
	}
	s, err := newStand(dir)
	if err != nil {
		return nil, err
	}
	s.proxyCPUs = proxyCPUs
	return s, nil
}

// standApart keeps this process off some processors, and returns them.
func standApart() (proxyCPUs peer.CPUs, err error) {
	proxyCPUs, loadCPUs, err := peer.Split()
	if err != nil {
		return nil, err
	}
	return proxyCPUs, peer.Confine(loadCPUs)
}

func (s *stand) close() error { return s.acl.Close() }

// write makes a server certificate and writes it with the CA and an empty CRL.
func (s *stand) write(name string, files *peer.Files, key ...certtest.Option) error {
	server := s.ca.Issue("localhost", append(key, certtest.Server("localhost", "127.0.0.1"))...)
	return s.writeFiles(name, files, server, s.ca.PEM(), certtest.PEMEncodeCRL(s.ca.CRL(certtest.CRLOptions{Number: 1})))
}

func (s *stand) writeFiles(name string, files *peer.Files, server *certtest.Cert, bundle, crl []byte) error {
	var errs []error
	put := func(suffix string, content ...[]byte) string {
		path := filepath.Join(s.dir, name+suffix)
		errs = append(errs, os.WriteFile(path, slices.Concat(content...), 0o600))
		return path
	}
	*files = peer.Files{
		Cert: put(".crt", server.CertPEM()),
		Key:  put(".key", server.KeyPEM()),
		Pair: put(".pem", server.CertPEM(), server.KeyPEM()),
		CA:   put("-ca.crt", bundle),
		CRL:  put("-ca.crl", crl),
	}
	return errors.Join(errs...)
}

// fleet returns n devices for a proxy, each with a certificate of its own whose owner certificate-acl knows.
func (s *stand) fleet(p *peer.Proxy, n int) *load.Fleet {
	s.devices = s.enlist(s.ca, s.devices, n)
	return &load.Fleet{Addr: p.Addr, Devices: s.devices[:n]}
}

// enlist has a CA issue certificates until there are n.
func (s *stand) enlist(ca *certtest.CA, devices []tls.Certificate, n int) []tls.Certificate {
	for i := len(devices); i < n; i++ {
		owner := fmt.Sprintf("bench:device%d", i)
		cert := ca.Issue(owner)
		s.acl.Own(stack.Fingerprint(cert.Leaf), owner)
		devices = append(devices, cert.TLS())
	}
	return devices
}

// A trial is one proxy in front of a broker of its own.
type trial struct {
	*stand
	effort *effort
	files  peer.Files
	proxy  *peer.Proxy
	ready  time.Duration // from its start until it accepted
	broker *broker.Broker
}

// try starts a proxy on a port of its own and a broker for it. The caller ends the trial.
func (s *stand) try(ctx context.Context, k *peer.Kind, files peer.Files, e *effort, env map[string]string) (*trial, error) {
	return s.tryAt(ctx, "", k, files, e, env)
}

// tryAt is try with the proxy at an address; "" = a free port.
func (s *stand) tryAt(
	ctx context.Context, addr string, k *peer.Kind, files peer.Files, e *effort, env map[string]string,
) (*trial, error) {
	b, err := broker.Start()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, "proxy")
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	began := time.Now()
	p, err := k.Start(ctx, &peer.Site{
		Dir: dir, Addr: addr, Files: files, Backend: b.Addr, ACLURL: s.acl.URL, Env: env, CPUs: s.proxyCPUs,
	})
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return &trial{stand: s, effort: e, files: files, proxy: p, ready: time.Since(began), broker: b}, nil
}

func (t *trial) end() error { return errors.Join(t.proxy.Stop(), t.broker.Close()) }

// A span is what a proxy did while a load was steady.
type span struct {
	cpu   time.Duration
	units int64
}

// each returns the processor time that a unit took, in seconds.
func (s span) each() float64 { return s.cpu.Seconds() / float64(s.units) }

// longest is how long it may take until a load has achieved anything.
const longest = 30 * time.Second

// watch runs a load for some time, of which the beginning is not counted. Units are counted by units, or by the load
// if that is nil.
func (t *trial) watch(ctx context.Context, l load.Load, d time.Duration, units func() int64) (span, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var done atomic.Int64
	if units == nil {
		units = done.Load
	}
	ended := make(chan error, 1)
	go func() { ended <- l(ctx, &done) }()

	var s span
	err := rest(ctx, t.effort.warmUp, ended)
	if err == nil {
		begin, before := time.Now(), units()
		s.cpu, err = t.used(func() error {
			err := rest(ctx, d, ended)
			for err == nil && units() == before && time.Since(begin) < longest {
				err = rest(ctx, d, ended) // the machine has had no time for us
			}
			return err
		})
		s.units = units() - before
	}
	stop()
	if err != nil {
		return span{}, err
	}
	if err := <-ended; err != nil {
		return span{}, err
	}
	if s.units == 0 {
		return span{}, errors.New("the load has achieved nothing")
	}
	return s, nil
}

// used returns the processor time of the proxy while f runs.
func (t *trial) used(f func() error) (time.Duration, error) {
	before, err := t.proxy.CPU()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := t.proxy.CPU()
	return after - before, err
}

// rest waits, unless the load ends before its time.
func rest(ctx context.Context, d time.Duration, ended <-chan error) error {
	select {
	case err := <-ended:
		return errors.Join(errors.New("the load has ended early"), err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
