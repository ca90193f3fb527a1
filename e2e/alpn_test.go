// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"crypto/tls"
	"fmt"
	"testing"

	"github.com/vernegate/vernegate/e2e/stack"
)

// One port takes all kinds of clients, as port 443 of a network that lets nothing else out would.
func TestOnePortForBoth(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker, "VERNEGATE_LISTEN_ALPN", "true")
	device := s.device("acme:lamp")
	for _, tlsVersion := range tlsVersions {
		for _, name := range []string{"", "mqtt", "x-amzn-mqtt-ca"} {
			t.Run(fmt.Sprintf("MQTT %q %s", name, tls.VersionName(tlsVersion)), func(t *testing.T) {
				t.Parallel()
				config := s.clientTLS(device, tlsVersion)
				if name != "" {
					config.NextProtos = []string{name}
				}
				for _, v := range versions {
					compare(t, v, stack.Through(s.Devices, config), scenarios["qos 2"])
				}
			})
		}
		t.Run("WebSocket "+tls.VersionName(tlsVersion), func(t *testing.T) {
			t.Parallel()
			config := s.clientTLS(device, tlsVersion)
			config.NextProtos = []string{"http/1.1"}
			for _, v := range versions {
				compare(t, v, stack.ThroughWebSocket(s.Devices, config), scenarios["qos 2"])
			}
		})
	}
	t.Run("none of them", func(t *testing.T) {
		t.Parallel()
		config := s.clientTLS(device, 0)
		config.NextProtos = []string{"h2"}
		if err := tryConnect(t.Context(), stack.Through(s.Devices, config)); stack.AlertOf(err) != stack.AlertNoApplicationProtocol {
			t.Errorf("got %v, want the alert no_application_protocol", err)
		}
	})
	t.Run("paho", func(t *testing.T) {
		t.Parallel()
		config := s.clientTLS(device, 0)
		config.NextProtos = []string{"http/1.1"}
		pahoByWebSocket(t, s.Devices, config)
	})
	t.Run("MQTT.js", func(t *testing.T) {
		t.Parallel()
		c := startMQTTJS(t, s, s.Devices, stack.V5, 10, "http/1.1")
		c.want("connect")
		c.want("subscribe")
		if size := c.want("message")["size"]; size != 10.0 {
			t.Errorf("got %v bytes, want 10", size)
		}
	})
}

// Without ALPN, what devices name there does not matter.
func TestALPNIsOffByDefault(t *testing.T) {
	t.Parallel()
	s := newFixture(t, broker)
	config := s.clientTLS(s.device("acme:lamp"), 0)
	for _, names := range [][]string{nil, {"mqtt"}, {"h2"}, {"http/1.1"}} {
		config.NextProtos = names
		if err := tryConnect(t.Context(), stack.Through(s.Devices, config)); err != nil {
			t.Errorf("%q: %v", names, err)
		}
	}
}
