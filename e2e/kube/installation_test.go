// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

//go:build kube

package kube_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/e2e/images"
	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

const (
	release  = "gate"
	fullname = "gate-vernegate" // what the chart calls what it makes of that
	chart    = "charts/vernegate"
)

// An installation is a namespace with the chart installed, and what it depends on.
type installation struct {
	namespace
	pki    *stack.PKI
	owners map[string]string // by fingerprint
	values []string          // options of helm that say how the chart is installed
	addr   string            // host:port where devices connect
}

// bridge owns the certificate of the service that reads what devices publish.
const bridge = "v2k-bridge"

// newInstallation makes a namespace without the chart.
func newInstallation(t *testing.T, name string) *installation {
	t.Helper()
	return &installation{namespace: newNamespace(t, name), pki: stack.NewPKI(), owners: make(map[string]string)}
}

// issue issues a certificate and makes it owner's, for a stand-in that is started later.
func (s *installation) issue(ca *certtest.CA, owner string) *certtest.Cert {
	cert := ca.Issue(owner)
	s.owners[stack.Fingerprint(cert.Leaf)] = owner
	return cert
}

// startCertificateACL starts the stand-in, which knows the owners there are so far.
func (s *installation) startCertificateACL(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(s.owners)
	if err != nil {
		t.Fatal(err)
	}
	s.apply(t, object("v1", "ConfigMap", "owners", map[string]any{"data": map[string]string{"owners.json": string(text)}}))
	s.applyFile(t, "certificate-acl.yaml")
	s.kubectl(t, "rollout", "status", "deployment/certificate-acl", "--timeout", "120s")
}

// startBroker starts the broker that gateways are in front of.
func (s *installation) startBroker(t *testing.T) {
	t.Helper()
	s.applyFile(t, "vernemq.yaml")
	s.kubectl(t, "rollout", "status", "statefulset/vernemq", "--timeout", "120s")
}

// writeTrust writes the Secret with the trust files as they should be now.
func (s *installation) writeTrust(t *testing.T) {
	t.Helper()
	set := s.pki.Set()
	s.apply(t, object("v1", "Secret", "trust", map[string]any{"data": map[string][]byte{
		"tls.crt": set.Cert, "tls.key": set.Key, "ca.crt": set.Bundle, "ca.crl": set.CRL,
	}}))
}

// install installs the chart with values files, later ones going before and s.values before
// all of them, waits until all is ready, and finds out where devices connect.
func (s *installation) install(t *testing.T, files ...string) {
	t.Helper()
	s.writeTrust(t)
	s.values = append(s.values, imageValues()...)
	for _, file := range files {
		s.values = append(s.values, "--values", file)
	}
	s.helm(t, "install")
	node := os.Getenv("E2E_KUBE_NODE")
	if node == "" {
		node = s.kubectl(t, "get", "nodes", "--output", `jsonpath={.items[0].status.addresses[?(@.type=="InternalIP")].address}`)
	}
	port := s.kubectl(t, "get", "service", fullname, "--output", `jsonpath={.spec.ports[?(@.name=="mqtts")].nodePort}`)
	s.addr = net.JoinHostPort(node, port)
	s.checkReachable(t)
}

// imageValues are the options of helm for the images under test.
func imageValues() []string {
	return append(imageValue("image", vernegateImage), imageValue("broker.image", brokerImage)...)
}

func imageValue(key, image string) []string {
	at := strings.LastIndexByte(image, ':')
	return []string{"--set", key + ".repository=" + image[:at], "--set-string", key + ".tag=" + image[at+1:]}
}

// helm installs or upgrades the release and waits until all is ready; more adds values
// to those of the installation, for this time.
func (s *installation) helm(t *testing.T, verb string, more ...string) {
	t.Helper()
	args := append([]string{verb, release, chart, "--namespace", string(s.namespace), "--wait", "--timeout", "150s"}, s.values...)
	if _, err := images.Run(within(t, stepTime), "", "helm", append(args, more...)...); err != nil {
		t.Fatal(err)
	}
}

// checkReachable waits until the Service is set up: ready pods are before it is.
func (s *installation) checkReachable(t *testing.T) {
	t.Helper()
	eventually(t, stepTime, "the Service takes connections", func() bool {
		conn, err := net.Dial("tcp", s.addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// through is the way of a client to the Service.
func (s *installation) through(cert *certtest.Cert) stack.Dial {
	return stack.Through(s.addr, s.pki.ClientTLS(cert))
}

// connect connects a client under test, which is cut at the end of the test at the latest.
func (s *installation) connect(t *testing.T, cert *certtest.Cert, o stack.Options) *stack.Client {
	t.Helper()
	c, err := stack.Connect(within(t, stepTime), s.through(cert), o)
	if err != nil {
		t.Fatalf("connecting %s: %v", o.ClientID, err)
	}
	t.Cleanup(c.Cut)
	return c
}

// tryConnect connects and leaves again. With TLS 1.3 a certificate is refused when the client
// takes itself for connected: here that shows in what should have been the CONNACK.
func (s *installation) tryConnect(ctx context.Context, cert *certtest.Cert, v stack.Version) error {
	c, err := stack.Connect(ctx, s.through(cert), stack.Options{Version: v, ClientID: unique()})
	if err == nil {
		c.Disconnect()
	}
	return err
}
