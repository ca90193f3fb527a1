// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// TestSidecar installs a broker with its sidecar, whose data outlive the pod.
func TestSidecar(t *testing.T) {
	s := newInstallation(t, "sidecar")
	reader := s.issue(s.pki.Root, bridge)
	devices := s.issueDevices("sidecar", fleetSize)
	r := s.prepareRotation()
	s.startCertificateACL(t)
	s.provideVolume(t, "data-"+fullname+"-0")
	s.values = []string{"--set", "broker.persistence.enabled=true"}
	s.install(t, "e2e/kube/testdata/sidecar.yaml")

	t.Run("clients are who certificate-acl says", func(t *testing.T) { s.checkIdentities(t, reader, devices[0].cert) })
	t.Run("trust is rotated without a restart", func(t *testing.T) { s.checkRotation(t, r) })
	t.Run("a crash loses nothing and leaves the broker alone", func(t *testing.T) { s.checkCrash(t, reader, devices) })
	t.Run("an upgrade drains before the broker stops and loses nothing", func(t *testing.T) { s.checkDrainBeforeBroker(t, reader, devices) })
}

// TestSidecarOfThePatchedBroker installs the example that keeps the VERNEMQ_CONF of dojot's
// patched VerneMQ: the broker runs with what an init container makes of it.
func TestSidecarOfThePatchedBroker(t *testing.T) {
	s := newInstallation(t, "patched")
	reader := s.issue(s.pki.Root, bridge)
	lamp := s.issue(s.pki.Root, "acme:lamp")
	s.startCertificateACL(t)
	s.install(t, chart+"/ci/sidecar-vernemq-conf-values.yaml", "e2e/kube/testdata/sidecar.yaml", "e2e/kube/testdata/patched.yaml")
	s.checkIdentities(t, reader, lamp)
}

// TestSidecarWithCertSidecar installs the example for dojot's cert-sidecar, with a stand-in
// that writes as that does: in place, into a volume that the containers share.
func TestSidecarWithCertSidecar(t *testing.T) {
	s := newInstallation(t, "certsidecar")
	reader := s.issue(s.pki.Root, bridge)
	lamp := s.issue(s.pki.Root, "acme:lamp")
	r := s.prepareRotation()
	s.startCertificateACL(t)
	s.values = []string{"--set-string", "extraInitContainers[0].image=" + standinImage}
	s.install(t, chart+"/ci/sidecar-cert-sidecar-values.yaml", "e2e/kube/testdata/sidecar.yaml", "e2e/kube/testdata/cert-sidecar.yaml")
	s.checkIdentities(t, reader, lamp)
	s.checkRotation(t, r)
}

// checkCrash crashes vernegate while devices publish. It comes back, and so do they.
func (s *installation) checkCrash(t *testing.T, reader *certtest.Cert, devices []device) {
	before := s.pods(t)[0]
	restarts := before.restarts("vernegate")
	f := s.launch(t, reader, devices)
	began := time.Now()
	s.kubectl(t, "debug", before.Metadata.Name, "--image", standinImage, "--image-pull-policy", "IfNotPresent",
		"--target", "vernegate", "--profile", "restricted", "--", "/crash")
	eventually(t, stepTime, "vernegate runs again", func() bool {
		p := s.pods(t)[0]
		return p.restarts("vernegate") == restarts+1 && p.ready()
	})
	f.await(t)
	f.settle(t)
	t.Logf("everybody was back %v after the crash", time.Since(began))
	if disconnections := f.disconnectionsSince(began); len(disconnections) < len(devices) {
		t.Errorf("%d sessions ended, want all %d: vernegate has not crashed", len(disconnections), len(devices))
	}
	if after := s.pods(t)[0]; after.Metadata.UID != before.Metadata.UID || after.restarts("broker") != before.restarts("broker") {
		t.Error("more than vernegate was restarted")
	}
}

// checkDrainBeforeBroker replaces the pod while devices publish: their sessions have to be
// ended one after the other, which they are only if the broker lives on until then.
func (s *installation) checkDrainBeforeBroker(t *testing.T, reader *certtest.Cert, devices []device) {
	disconnections := s.replacePods(t, reader, devices)
	checkPaced(t, disconnections[:len(devices)], len(devices)/3)
}
