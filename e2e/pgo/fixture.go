// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// fleet is how many devices there are, each with a certificate of its own.
const fleet = 100

// A fixture is a vernegate and what it needs.
type fixture struct {
	gate    *stack.Vernegate
	broker  *echo
	acl     *stack.ACL
	pki     *stack.PKI
	devices []*certtest.Cert
}

func setUp(ctx context.Context, dir string) (*fixture, error) {
	program, err := stack.Build(ctx, dir)
	if err != nil {
		return nil, err
	}
	s := &fixture{pki: stack.NewPKI()}
	if s.broker, err = startEcho(); err != nil {
		return nil, err
	}
	if s.acl, err = stack.StartACL(); err != nil {
		return nil, err
	}
	for i := range fleet {
		device := s.pki.Root.Issue("device")
		s.acl.Own(stack.Fingerprint(device.Leaf), fmt.Sprintf("acme:device%d", i))
		s.devices = append(s.devices, device)
	}
	folder := stack.Folder(dir)
	if err := folder.Rename(s.pki.Set()); err != nil {
		return nil, err
	}
	env := folder.Env()
	env["CERTIFICATE_ACL_URL"] = s.acl.URL
	env["VERNEGATE_BACKENDS"] = s.broker.Addr().String()
	env["VERNEGATE_ADMIN_TOKEN"] = token
	env["VERNEGATE_LOG_LEVEL"] = "info"
	s.gate, err = stack.StartVernegate(ctx, program, env)
	return s, err
}

func (s *fixture) tearDown() {
	s.gate.Kill()
	s.acl.Close()
	s.broker.stop()
}

// clientTLS is how a device connects with one TLS version.
func (s *fixture) clientTLS(device int, version uint16) *tls.Config {
	config := s.pki.ClientTLS(s.devices[device%fleet])
	config.MinVersion, config.MaxVersion = version, version
	return config
}

// join begins a session, which the caller closes. It lasts as long as ctx at most.
func (s *fixture) join(ctx context.Context, config *tls.Config) (net.Conn, error) {
	conn, err := stack.Through(s.gate.Devices, config)(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline() // every load has one
	if err := conn.SetDeadline(deadline.Add(time.Second)); err != nil {
		return nil, err
	}
	_, err = conn.Write(connect)
	if err == nil {
		_, err = io.ReadFull(conn, make([]byte, len(connack)))
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// Packets of MQTT 3.1.1.
var (
	connect = []byte("\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c")
	connack = []byte("\x20\x02\x00\x00")
)

// publish is a PUBLISH of QoS 0 to the topic "t" with a payload of size bytes.
func publish(size int) []byte {
	rest := len("\x00\x01t") + size
	packet := []byte{0x30, byte(rest) | 0x80, byte(rest>>7) | 0x80, byte(rest >> 14), 0, 1, 't'}
	return append(packet, make([]byte, size)...)
}
