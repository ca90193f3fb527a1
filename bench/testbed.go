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

// A testbed is what the proxies are measured on: certificates, a certificate-acl and processors. The broker and the
// devices are this process.
type testbed struct {
	dir        string
	ca         *certtest.CA
	acl        *stack.ACL
	proxyCPUs  peer.CPUs
	devices    []tls.Certificate
	ecdsa, rsa peer.Files
}

// validity is long enough for any bench.
const validity = 48 * time.Hour

// newTestbed makes a testbed with its files in dir. The caller closes it.
func newTestbed(dir string) (*testbed, error) {
	acl, err := stack.StartACL()
	if err != nil {
		return nil, err
	}
	s := &testbed{dir: dir, acl: acl, ca: certtest.NewCA("bench", certtest.NotAfter(time.Now().Add(validity)))}
	return s, errors.Join(
		s.write("ecdsa", &s.ecdsa),
		s.write("rsa", &s.rsa, certtest.RSA()),
	)
}

// newPinnedTestbed is newTestbed with a processor for the proxies alone: this process does not use it from then on.
func newPinnedTestbed(dir string) (*testbed, error) {
	proxyCPUs, err := pinCPUs()
	if err != nil {
		return nil, err
	}
	s, err := newTestbed(dir)
	if err != nil {
		return nil, err
	}
	s.proxyCPUs = proxyCPUs
	return s, nil
}

// pinCPUs reserves processors for the proxies and confines this process to the others.
func pinCPUs() (proxyCPUs peer.CPUs, err error) {
	proxyCPUs, loadCPUs, err := peer.Split()
	if err != nil {
		return nil, err
	}
	return proxyCPUs, peer.Confine(loadCPUs)
}

func (s *testbed) close() error { return s.acl.Close() }

// write makes a server certificate and writes it with the CA and an empty CRL.
func (s *testbed) write(name string, files *peer.Files, key ...certtest.Option) error {
	server := s.ca.Issue("localhost", append(key, certtest.Server("localhost", "127.0.0.1"))...)
	return s.writeFiles(name, files, server, s.ca.PEM(), certtest.PEMEncodeCRL(s.ca.CRL(certtest.CRLOptions{Number: 1})))
}

func (s *testbed) writeFiles(name string, files *peer.Files, server *certtest.Cert, bundle, crl []byte) error {
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

// issueDevices adds certificates from ca to devices until there are n. certificate-acl knows their owners.
func (s *testbed) issueDevices(ca *certtest.CA, devices []tls.Certificate, n int) []tls.Certificate {
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
	*testbed
	effort *effort
	files  peer.Files
	kind   *peer.Kind
	setup  *peer.Setup
	proxy  *peer.Proxy
	ready  time.Duration // from its start until it accepted
	broker *broker.Broker
}

// startTrial starts a proxy on a port of its own and a broker for it. The caller ends the trial.
func (s *testbed) startTrial(ctx context.Context, k *peer.Kind, files peer.Files, e *effort, env map[string]string) (*trial, error) {
	return s.startTrialAt(ctx, "", k, files, e, env)
}

// startTrialAt is startTrial with the proxy at an address; "" = a free port.
func (s *testbed) startTrialAt(
	ctx context.Context, addr string, k *peer.Kind, files peer.Files, e *effort, env map[string]string,
) (*trial, error) {
	b, err := broker.Start()
	if err != nil {
		return nil, err
	}
	return s.startTrialFor(ctx, b, addr, k, files, e, env)
}

// startTrialFor is startTrialAt with a broker that is there already, and belongs to the trial from now on.
func (s *testbed) startTrialFor(
	ctx context.Context, b *broker.Broker, addr string, k *peer.Kind, files peer.Files, e *effort, env map[string]string,
) (*trial, error) {
	dir, err := os.MkdirTemp(s.dir, "proxy")
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	t := &trial{testbed: s, effort: e, files: files, kind: k, broker: b, setup: &peer.Setup{
		Dir: dir, Addr: addr, Files: files, Backend: b.Addr, ACLURL: s.acl.URL, Env: env, CPUs: s.proxyCPUs,
	}}
	if err := t.startProxy(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return t, nil
}

// startProxy starts the proxy: the first one, or another one after the one before has ended.
func (t *trial) startProxy(ctx context.Context) (err error) {
	began := time.Now()
	t.proxy, err = t.kind.Start(ctx, t.setup)
	t.ready = time.Since(began)
	return err
}

// fleet returns n devices for the proxy, each with a certificate of its own whose owner certificate-acl knows.
func (t *trial) fleet(n int) *load.Fleet {
	t.devices = t.issueDevices(t.ca, t.devices, n)
	return &load.Fleet{Addr: t.proxy.Addr, Devices: t.devices[:n], Plain: t.kind.Plain}
}

func (t *trial) end() error { return errors.Join(t.proxy.Stop(), t.broker.Close()) }

// A sample is what a proxy did while a load was steady.
type sample struct {
	cpu   time.Duration
	units int64
}

// each returns the processor time that a unit took, in seconds.
func (s sample) each() float64 { return s.cpu.Seconds() / float64(s.units) }

// maxWait is how long it may take until a load has achieved anything.
const maxWait = 30 * time.Second

// measureLoad runs a load for some time, of which the beginning is not counted. Units are counted by units, or by the load
// if that is nil.
func (t *trial) measureLoad(ctx context.Context, l load.Load, d time.Duration, units func() int64) (sample, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var done atomic.Int64
	if units == nil {
		units = done.Load
	}
	ended := make(chan error, 1)
	go func() { ended <- l(ctx, &done) }()

	var s sample
	err := wait(ctx, t.effort.warmUp, ended)
	if err == nil {
		begin, before := time.Now(), units()
		s.cpu, err = t.cpuDuring(func() error {
			err := wait(ctx, d, ended)
			for err == nil && units() == before && time.Since(begin) < maxWait {
				err = wait(ctx, d, ended) // the machine was too busy
			}
			return err
		})
		s.units = units() - before
	}
	stop()
	if err != nil {
		return sample{}, err
	}
	if err := <-ended; err != nil {
		return sample{}, err
	}
	if s.units == 0 {
		return sample{}, errors.New("the load has achieved nothing")
	}
	return s, nil
}

// cpuDuring returns the processor time of the proxy while f runs.
func (t *trial) cpuDuring(f func() error) (time.Duration, error) {
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

// wait waits for d. It returns an error if ctx or the load ends before.
func wait(ctx context.Context, d time.Duration, ended <-chan error) error {
	select {
	case err := <-ended:
		return errors.Join(errors.New("the load has ended early"), err)
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
