// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/clienttls"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/lastgood"
	"github.com/vernegate/vernegate/internal/untrusted"
)

// The parts that the files of clientFiles are, in logs, on the status page and in
// the metric vernegate_trust_part_refused.
const (
	partBackendTLS = "backend_tls"
	partACLTLS     = "acl_tls"
	partACLToken   = "acl_token"
	partCRLTLS     = "crl_tls"
)

// clientFiles are the files that vernegate needs as a client of brokers, of
// certificate-acl and of servers of CRLs. Each of the four is followed by itself.
type clientFiles struct {
	backend *lastgood.Files[*clienttls.Credentials] // nil = brokers are spoken to in plain TCP
	acl     *lastgood.Files[*clienttls.Credentials] // nil = Go's defaults
	token   *lastgood.Files[string]                 // nil = there is no token
	crl     *lastgood.Files[*clienttls.Credentials] // nil = Go's defaults
}

// openClientFiles waits for good files for so long. The error is a *FilesError.
func openClientFiles(ctx context.Context, cfg config.Config, wait time.Duration, log *slog.Logger) (f clientFiles, err error) {
	var opening errgroup.Group
	var errs [4]error
	open := func(err *error, open func() error) {
		opening.Go(func() error { *err = open(); return nil })
	}
	if cfg.BackendTLS {
		open(&errs[0], func() (err error) {
			f.backend, err = openCredentials(ctx, cfg, cfg.BackendTLSFiles(), partBackendTLS, wait, log)
			return err
		})
	}
	if sources := cfg.ACLFiles(); len(sources.Paths()) > 0 {
		open(&errs[1], func() (err error) {
			f.acl, err = openCredentials(ctx, cfg, sources, partACLTLS, wait, log)
			return err
		})
	}
	if path := cfg.ACLTokenFile; path != "" {
		open(&errs[2], func() (err error) {
			f.token, err = openToken(ctx, cfg, path, wait, log)
			return err
		})
	}
	open(&errs[3], func() (err error) {
		f.crl, err = openListCAs(ctx, cfg, wait, log)
		return err
	})
	_ = opening.Wait() // none returns an error: all that is wrong is to be told
	if err := errors.Join(errs[:]...); err != nil {
		return clientFiles{}, &FilesError{withVariables(cfg, err)}
	}
	return f, nil
}

func openCredentials(ctx context.Context, cfg config.Config, sources clienttls.Sources, part string, wait time.Duration, log *slog.Logger) (*lastgood.Files[*clienttls.Credentials], error) {
	return lastgood.Open(ctx, lastgood.Config[*clienttls.Credentials]{
		Name:         part,
		Paths:        sources.Paths(),
		Read:         sources.Read,
		Interval:     time.Duration(cfg.TrustRefreshInterval),
		StartTimeout: wait,
		Logger:       log,
	})
}

// openListCAs opens what servers of CRLs are verified against; nil = the CAs of the system.
func openListCAs(ctx context.Context, cfg config.Config, wait time.Duration, log *slog.Logger) (*lastgood.Files[*clienttls.Credentials], error) {
	if len(cfg.CRLCA) == 0 {
		return nil, nil
	}
	return openCredentials(ctx, cfg, cfg.CRLFiles(), partCRLTLS, wait, log)
}

func openToken(ctx context.Context, cfg config.Config, path string, wait time.Duration, log *slog.Logger) (*lastgood.Files[string], error) {
	return lastgood.Open(ctx, lastgood.Config[string]{
		Name:  partACLToken,
		Paths: []string{path},
		Read: func(contents [][]byte) (string, error) {
			token, err := certacl.ParseToken(contents[0])
			if err != nil {
				return "", fmt.Errorf("%s: %w", path, err)
			}
			return token, nil
		},
		Interval:     time.Duration(cfg.TrustRefreshInterval),
		StartTimeout: wait,
		Logger:       log,
	})
}

// A followedFile is what the four have in common.
type followedFile interface {
	Run(ctx context.Context)
	Reload() error
	Refusal() *lastgood.Refusal
	Paths() []string
	Name() string
}

// all are those that there are.
func (f clientFiles) all() (files []followedFile) {
	if f.backend != nil {
		files = append(files, f.backend)
	}
	if f.acl != nil {
		files = append(files, f.acl)
	}
	if f.token != nil {
		files = append(files, f.token)
	}
	if f.crl != nil {
		files = append(files, f.crl)
	}
	return files
}

// run follows the files until ctx ends.
func (f clientFiles) run(ctx context.Context) {
	var following errgroup.Group
	for _, files := range f.all() {
		following.Go(func() error { files.Run(ctx); return nil })
	}
	_ = following.Wait() // none returns an error
}

// reload reads the files now and returns what is wrong with them.
func (f clientFiles) reload() error {
	var errs []error
	for _, files := range f.all() {
		errs = append(errs, files.Reload())
	}
	return errors.Join(errs...)
}

// refusals are what is wrong with the files as they were read last.
func (f clientFiles) refusals() (list []*lastgood.Refusal) {
	for _, files := range f.all() {
		if r := files.Refusal(); r != nil {
			list = append(list, r)
		}
	}
	return list
}

// certificates are those that vernegate shows as a client.
func (f clientFiles) certificates() (certs []*x509.Certificate) {
	for _, files := range []*lastgood.Files[*clienttls.Credentials]{f.backend, f.acl} {
		if files == nil {
			continue
		}
		if pair := files.Current().Pair; pair != nil && !slices.ContainsFunc(certs, pair.Leaf.Equal) {
			certs = append(certs, pair.Leaf)
		}
	}
	return certs
}

// Describe implements prometheus.Collector. It describes nothing: other collectors
// send metrics of the same names.
func (clientFiles) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f clientFiles) Collect(metrics chan<- prometheus.Metric) {
	m := newPartRefused()
	for _, files := range f.all() {
		refused := 0.0
		if files.Refusal() != nil {
			refused = 1
		}
		for _, path := range files.Paths() {
			m.WithLabelValues(files.Name(), untrusted.Text(path)).Set(refused)
		}
	}
	m.Collect(metrics)

	expiry, due := newExpiry(), newCertificatesDue()
	for _, cert := range f.certificates() {
		setExpiry(expiry, admin.KindClient, cert)
		setCertificateDue(due, admin.KindClient, cert)
	}
	expiry.Collect(metrics)
	due.Collect(metrics)
}

// brokerTLS returns what TLS with the broker at an address is to be like; nil = brokers
// are spoken to in plain TCP. hostOf returns the host that a broker was configured by.
func (f clientFiles) brokerTLS(cfg config.Config, hostOf func(addr string) string) func(addr string) *tls.Config {
	if f.backend == nil {
		return nil
	}
	servers := new(clienttls.Servers)
	return func(addr string) *tls.Config {
		name := string(cfg.BackendTLSServerName)
		if name == "" {
			name = hostOf(addr)
		}
		return servers.Config(f.backend.Current(), addr, name)
	}
}

// aclTLS returns what https with certificate-acl is to be like, nil for Go's defaults.
func (f clientFiles) aclTLS() *tls.Config {
	if f.acl == nil {
		return nil
	}
	return f.acl.Current().Config()
}

// listTLS returns what https with servers of CRLs is to be like, nil for Go's defaults.
func (f clientFiles) listTLS() *tls.Config {
	if f.crl == nil {
		return nil
	}
	return f.crl.Current().Config()
}

// aclToken returns the bearer token for certificate-acl, "" for none.
func (f clientFiles) aclToken() string {
	if f.token == nil {
		return ""
	}
	return f.token.Current()
}
