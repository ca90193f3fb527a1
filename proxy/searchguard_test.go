// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"crypto/tls"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// A stranger that sends many certificates, with which x509 can be kept busy, has Trust.Verify look for the chains of all clients.
// That shows in the alert alone.
func TestManyCertificatesAreLeftToTrust(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			b := startBroker(t)
			g := startGate(t, brokers(b))
			refused := func(sent int) string {
				t.Helper()
				ca := certtest.NewCA("stranger")
				for range sent - 1 {
					ca = ca.Intermediate("below")
				}
				stranger := ca.Issue("device")
				config := clientConfig(stranger)
				config.MinVersion, config.MaxVersion = version, version
				said := alert(firstError(t, g.addr, config))
				line := g.logs.await(t, func(line map[string]any) bool { return line["fingerprint"] == fingerprint(stranger) })
				if line["reason"] != proxy.TLSUntrusted.String() {
					t.Errorf("got the reason %v, want %v", line["reason"], proxy.TLSUntrusted)
				}
				return said
			}
			said := []string{refused(4), refused(5), refused(1)}
			if want := []string{"tls: unknown certificate authority", "tls: unknown certificate authority", "tls: bad certificate"}; !slices.Equal(said, want) {
				t.Errorf("got the alerts %q, want %q", said, want)
			}
			for range 2 {
				client, backend := session(g, b)
				write(t, client, pingreq)
				wantBytes(t, backend, pingreq)
			}
		})
	}
}
