// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// fleetSize is how many devices are at sea while something happens to the pods.
const fleetSize = 40

// TestGateway installs gateways in front of a broker and lives through their days.
func TestGateway(t *testing.T) {
	s := newInstallation(t, "gateway")
	s.startBroker(t)
	reader := s.issue(s.pki.Root, bridge)
	devices := s.issueDevices("gateway", fleetSize)
	more := s.issueDevices("more", fleetSize)
	r := s.prepareRotation()
	s.startCertificateACL(t)
	s.install(t, "e2e/kube/testdata/gateway.yaml")

	t.Run("clients are who certificate-acl says", func(t *testing.T) { s.checkIdentities(t, reader, devices[0].cert) })
	t.Run("trust is rotated without a restart", func(t *testing.T) { s.checkRotation(t, r) })
	t.Run("an upgrade loses nothing and is paced", func(t *testing.T) { s.checkUpgrade(t, reader, devices) })
	t.Run("scaling loses nothing", func(t *testing.T) { s.checkScaling(t, reader, devices, more) })
	t.Run("an eviction honours the budget", func(t *testing.T) { s.checkBudget(t, reader, devices) })
}

// replacePods replaces all pods while devices publish, and returns the disconnections of
// their sessions: one of each at least.
func (s *installation) replacePods(t *testing.T, reader *certtest.Cert, devices []device) []disconnection {
	t.Helper()
	before := s.pods(t)
	f := s.launch(t, reader, devices)
	began := time.Now()
	s.helm(t, "upgrade", "--set-string", "podAnnotations.upgraded=yes")
	s.awaitGone(t, before)
	f.await(t)
	f.settle(t)
	disconnections := f.disconnectionsSince(began)
	if len(disconnections) < len(devices) {
		t.Fatalf("%d sessions ended though all pods were replaced, want those of all %d devices", len(disconnections), len(devices))
	}
	return disconnections
}

// checkUpgrade replaces all pods while devices publish.
func (s *installation) checkUpgrade(t *testing.T, reader *certtest.Cert, devices []device) {
	disconnections := s.replacePods(t, reader, devices)
	// Two pods drain at a time at most, each over six seconds. Without a pace, a pod's
	// sessions, which are half of all, would end in one moment.
	checkPaced(t, disconnections, len(devices)/3)
}

// awaitGone waits until none of the pods is there any more.
func (s *installation) awaitGone(t *testing.T, pods []pod) {
	t.Helper()
	gone := uids(pods)
	eventually(t, stepTime, "the old pods are gone", func() bool {
		return !slices.ContainsFunc(uids(s.allPods(t)), func(uid string) bool { return slices.Contains(gone, uid) })
	})
}

// checkScaling goes from one gateway to three and back while devices publish.
func (s *installation) checkScaling(t *testing.T, reader *certtest.Cert, devices, more []device) {
	s.scale(t, 1)
	f := s.launch(t, reader, devices)
	began := time.Now()
	s.scale(t, 3)
	f.await(t)
	if disconnections := f.disconnectionsSince(began); len(disconnections) > 0 {
		t.Errorf("%d sessions ended when gateways were added, want none", len(disconnections))
	}
	f.join(t, more) // to all three

	began = time.Now()
	s.scale(t, 1)
	f.await(t)
	disconnections := f.disconnectionsSince(began)
	f.settle(t)
	if len(disconnections) == 0 {
		t.Fatal("no session ended when two gateways went: nobody was connected to them, and this shows nothing")
	}
	checkPaced(t, disconnections, len(disconnections)/2) // both drain at a time
	s.scale(t, 2)
}

// scale has so many pods, all of them ready and no others.
func (s *installation) scale(t *testing.T, replicas int) {
	t.Helper()
	s.helm(t, "upgrade", "--set", "replicas="+strconv.Itoa(replicas))
	eventually(t, stepTime, strconv.Itoa(replicas)+" pods are there and ready", func() bool {
		pods := s.allPods(t)
		return len(pods) == replicas && !slices.ContainsFunc(pods, func(p pod) bool { return !p.ready() })
	})
}

// checkBudget evicts both pods, one right after the other, with the request that draining
// a node makes for each: the second has to stay until the first is replaced.
func (s *installation) checkBudget(t *testing.T, reader *certtest.Cert, devices []device) {
	f := s.launch(t, reader, devices)
	pods := s.pods(t)
	if len(pods) != 2 {
		t.Fatalf("there are %d pods, want 2", len(pods))
	}
	if err := s.evict(t, pods[0]); err != nil {
		t.Fatalf("the first pod may not go: %v", err)
	}
	err := s.evict(t, pods[1])
	if err == nil || !strings.Contains(err.Error(), "disruption budget") {
		t.Errorf("evicting the second pod: %v, want it refused by the budget", err)
	}
	s.awaitGone(t, pods[:1])
	eventually(t, stepTime, "the second pod may go when the first is replaced", func() bool { return s.evict(t, pods[1]) == nil })
	s.awaitGone(t, pods)
	f.await(t)
	f.settle(t)
}

// evict asks for the end of a pod.
func (s *installation) evict(t *testing.T, p pod) error {
	t.Helper()
	request := `{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"` + p.Metadata.Name + `"}}`
	path := "/api/v1/namespaces/" + string(s.namespace) + "/pods/" + p.Metadata.Name + "/eviction"
	_, err := s.try(within(t, stepTime), request, "create", "--raw", path, "--filename", "-")
	return err
}
