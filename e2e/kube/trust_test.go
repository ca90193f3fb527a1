// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"slices"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// checkIdentities has a device publish under another's name: it arrives below its owner's,
// and nowhere else.
func (s *installation) checkIdentities(t *testing.T, reader, cert *certtest.Cert) {
	owner := s.owners[stack.Fingerprint(cert.Leaf)]
	for _, v := range []stack.Version{stack.V311, stack.V5} {
		b := s.connect(t, reader, stack.Options{Version: v, ClientID: unique()})
		if code, err := b.Subscribe(within(t, stepTime), "+/attrs", 1); err != nil || code != 1 {
			t.Fatalf("%v: the bridge subscribes: %d, %v", v, code, err)
		}
		c := s.connect(t, cert, stack.Options{Version: v, ClientID: unique(), Username: "somebody:else"})
		if publish(c, stack.Message{Topic: "somebody:else/attrs", Payload: "a lie", QoS: 1}) {
			t.Errorf("%v: a device publishes below the username that it sent", v)
		}
		c = s.connect(t, cert, stack.Options{Version: v, ClientID: unique(), Username: "somebody:else"})
		if !publish(c, stack.Message{Topic: owner + "/attrs", Payload: "the truth", QoS: 1}) {
			t.Errorf("%v: a device cannot publish below its owner's name", v)
		}
		if m, err := b.Receive(within(t, stepTime)); err != nil || m.Topic != owner+"/attrs" || m.Payload != "the truth" {
			t.Errorf("%v: the bridge got %+v, %v", v, m, err)
		}
	}
	stranger := s.pki.Root.Issue("stranger")
	if s.tryConnect(within(t, stepTime), stranger, stack.V5) == nil {
		t.Error("a device that certificate-acl does not know gets in")
	}
}

// A rotation is who takes part in one.
type rotation struct {
	next      *certtest.CA
	newcomer  *certtest.Cert // of the next CA, which is not trusted yet
	victim    *certtest.Cert // will be revoked
	bystander *certtest.Cert
}

// prepareRotation issues the certificates for a rotation.
func (s *installation) prepareRotation() rotation {
	next := certtest.NewCA("next generation")
	return rotation{
		next:      next,
		newcomer:  s.issue(next, "acme:newcomer"),
		victim:    s.issue(s.pki.Root, "acme:victim"),
		bystander: s.issue(s.pki.Root, "acme:bystander"),
	}
}

// checkRotation updates the Secret with the trust files, to one CA more and one device less.
func (s *installation) checkRotation(t *testing.T, r rotation) {
	before := s.pods(t)
	if err := s.tryConnect(within(t, stepTime), r.newcomer, stack.V5); stack.AlertOf(err) == 0 {
		t.Fatalf("the device of a CA that is not trusted: %v, want a TLS alert", err)
	}
	victim := s.connect(t, r.victim, stack.Options{Version: stack.V311, ClientID: unique()})
	bystander := s.connect(t, r.bystander, stack.Options{Version: stack.V311, ClientID: unique()})

	s.pki.Trust(r.next)
	s.pki.Revoke(r.victim.Leaf)
	s.writeTrust(t)
	began := time.Now()
	select {
	case <-victim.Dropped():
		t.Logf("the revoked device fell %v after the Secret was updated", time.Since(began))
	case <-within(t, stepTime).Done():
		t.Error("the revoked device is still connected")
	}
	eventually(t, stepTime, "each pod trusts the new CA", func() bool {
		for range 8 { // whichever pod it comes to
			if s.tryConnect(within(t, stepTime), r.newcomer, stack.V5) != nil {
				return false
			}
		}
		return true
	})
	if err := s.tryConnect(within(t, stepTime), r.victim, stack.V5); stack.AlertOf(err) == 0 {
		t.Errorf("the revoked device comes back: %v, want a TLS alert", err)
	}
	if !publish(bystander, stack.Message{Topic: "acme:bystander/attrs", Payload: "still here", QoS: 1}) {
		t.Error("a device that nothing was changed for has lost its connection")
	}
	after := s.pods(t)
	if !slices.Equal(uids(after), uids(before)) {
		t.Errorf("the pods were %q and are %q", uids(before), uids(after))
	}
	for _, p := range after {
		if n := p.restarts("vernegate"); n != 0 {
			t.Errorf("vernegate in %s was restarted %d times", p.Metadata.Name, n)
		}
	}
}
