// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin_test

import (
	"net/http"
	"testing"
)

// What shows owners' names is not for a name that anybody can make point here. What machines ask is.
func TestNamesThatAreNotKnownAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.cfg.Hosts = []string{"Gate.Example.org", "other.example.org:8885"}
	for host, known := range map[string]bool{
		"127.0.0.1:8885": true, "127.0.0.1": true, "[::1]:8885": true, "[::1]": true, "10.1.2.3:8885": true,
		"localhost:8885": true, "LOCALHOST.": true, "gate.localhost:8885": true, "vernegate-admin:8885": true,
		"vernegate-0.vernegate.iot.svc:8885": true, "vernegate.iot.svc.cluster.local.": true,
		"gate.example.org:8885": true, "GATE.example.ORG.": true, "other.example.org": true,
		"evil.example.org:8885": false, "gate.example.org.evil.com": false, "svc.evil.com": false, "evilgate.example.org": false,
		"127.0.0.1.evil.com:8885": false, "": false, ".": false, "127.0.0.1.": true,
	} {
		for _, path := range []string{"/", "/status", "/sessions"} {
			want := http.StatusMisdirectedRequest
			if known {
				want = http.StatusOK
			}
			if got := s.ask(http.MethodGet, path, "Host", host); got.Code != want {
				t.Errorf("GET %s of host %q: got %d, want %d", path, host, got.Code, want)
			}
		}
		for _, path := range []string{"/livez", "/readyz", "/metrics"} {
			if got := s.ask(http.MethodGet, path, "Host", host); got.Code != http.StatusOK {
				t.Errorf("GET %s of host %q: got %d", path, host, got.Code)
			}
		}
	}
}
