// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import "testing"

func TestABrokerIsNeededWhereItIsOnAnotherHost(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		need, backends string
		want           bool
	}{
		{"", "vernemq:1883", true},
		{"", "192.0.2.1:1883,192.0.2.2:1883", true},
		{"", "127.0.0.1:1883", false},
		{"", "[::1]:1883", false},
		{"", "localhost:1883", false},
		{"", "192.0.2.1:1883,127.0.0.1:1883", false},
		{"", "192.0.2.1:1883,unix:/run/vernemq.sock", false},
		{"auto", "vernemq:1883", true},
		{"on", "127.0.0.1:1883", true},
		{"off", "vernemq:1883", false},
	} {
		cfg, err := Load([]string{"VERNEGATE_READY_NEEDS_BROKER=" + row.need, "VERNEGATE_BACKENDS=" + row.backends})
		if got := cfg.NeedsBroker(); err != nil || got != row.want {
			t.Errorf("%q with %s: got %v and %v, want %v", row.need, row.backends, got, err, row.want)
		}
	}
}
