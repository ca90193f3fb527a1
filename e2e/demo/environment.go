// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"maps"
	"os"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// An environment is everything that the demo needs, up and running.
type environment struct {
	dir    string // thrown away at the end
	pki    *stack.PKI
	folder stack.Folder
	acl    *stack.ACL
	kafka  *stack.Kafka
	broker *broker
	gate   *stack.Vernegate
	stolen *certtest.Cert // revoked before all began
}

// startEnvironment starts everything. The caller stops it.
func startEnvironment(ctx context.Context) (*environment, error) {
	dir, err := os.MkdirTemp("", "vernegate-demo-")
	if err != nil {
		return nil, err
	}
	s := &environment{dir: dir, pki: stack.NewPKI(), folder: stack.Folder(dir)}
	if err := s.start(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// start starts what is not there yet, in the order of dependence.
func (s *environment) start(ctx context.Context) error {
	bin, err := stack.Build(ctx, s.dir)
	if err != nil {
		return err
	}
	if s.acl, err = stack.StartACL(); err != nil {
		return err
	}
	if s.kafka, err = stack.StartKafka(); err != nil {
		return err
	}
	s.stolen = s.device("acme:stolen")
	s.pki.Revoke(s.stolen.Leaf)
	if err := s.folder.Rename(s.pki.Set()); err != nil {
		return err
	}
	if s.broker, err = startBroker(); err != nil {
		return err
	}
	env := s.folder.Env()
	maps.Copy(env, map[string]string{"CERTIFICATE_ACL_URL": s.acl.URL, "VERNEGATE_BACKENDS": s.broker.addr, "VERNEGATE_KAFKA_BROKERS": s.kafka.Addr})
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	s.gate, err = stack.StartVernegate(ctx, bin, env)
	return err
}

// stop ends whatever has been started and throws the files away.
func (s *environment) stop() {
	if s.gate != nil {
		s.gate.Kill()
	}
	if s.broker != nil {
		s.broker.close()
	}
	if s.kafka != nil {
		s.kafka.Down()
	}
	if s.acl != nil {
		s.acl.Close()
	}
	os.RemoveAll(s.dir)
}

// device issues a certificate from the root and has certificate-acl know its owner.
func (s *environment) device(owner string, opts ...certtest.Option) *certtest.Cert {
	return s.deviceOf(s.pki.Root, owner, opts...)
}

// deviceOf is device with another CA.
func (s *environment) deviceOf(ca *certtest.CA, owner string, opts ...certtest.Option) *certtest.Cert {
	cert := ca.Issue(owner, opts...)
	s.acl.Own(stack.Fingerprint(cert.Leaf), owner)
	return cert
}
