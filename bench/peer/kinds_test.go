// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"os"
	"strings"
	"testing"
)

func TestConfigurationsHoldWhatTheSetupSays(t *testing.T) {
	t.Parallel()
	const addr, backend = "127.0.0.1:8883", "127.0.0.1:1883"
	files := Files{Cert: "/server.crt", Key: "/server.key", Pair: "/server.pem", CA: "/ca.pem", CRL: "/crl.pem"}
	for name, want := range map[string][]string{
		"haproxy.cfg": {addr, backend, files.Pair, files.CA, files.CRL, "nbthread 2\n"},
		"nginx.conf":  {addr, backend, files.Cert, files.Key, files.CA, files.CRL, "worker_processes 2;", "/stream.so;"},
	} {
		setup := &Setup{Dir: t.TempDir(), Backend: backend, Files: files, CPUs: CPUs{0, 1}}
		file, err := setup.configure(name, addr, map[string]any{"Module": "/stream.so", "TLS": true})
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range want {
			if !strings.Contains(string(text), value) {
				t.Errorf("%s lacks %q:\n%s", name, value, text)
			}
		}
	}
}
