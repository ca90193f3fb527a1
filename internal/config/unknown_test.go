// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"testing"
)

func TestUnknownVariableSuggestsTheNearest(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"VERNEGATE_LISTENER":           "VERNEGATE_LISTENER: no such variable, did you mean VERNEGATE_LISTEN?",
		"VERNEGATE_TLS_CERTS":          "VERNEGATE_TLS_CERTS: no such variable, did you mean VERNEGATE_TLS_CERT?",
		"VERNEGATE_SERVICES_LISTEN":    "VERNEGATE_SERVICES_LISTEN: no such variable, did you mean VERNEGATE_SERVICE_LISTEN?",
		"VERNEGATE_ACL_NEGATIV_TTL":    "VERNEGATE_ACL_NEGATIV_TTL: no such variable, did you mean VERNEGATE_ACL_NEGATIVE_TTL?",
		"VERNEGATE_ADMN":               "VERNEGATE_ADMN: no such variable, did you mean VERNEGATE_ADMIN?",
		"VERNEGATE_NOSUCH":             "VERNEGATE_NOSUCH: no such variable",
		"VERNEGATE_":                   "VERNEGATE_: no such variable",
		"VERNEGATE_SOMETHING_ENTIRELY": "VERNEGATE_SOMETHING_ENTIRELY: no such variable",
	} {
		if got := mistakesOf(t, variable+"=x"); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestUnknownVariablesOfOthersAreTheirs(t *testing.T) {
	t.Parallel()
	mustLoad(t, "PATH=/bin", "VERNEMQ_NODENAME=x", "VERNEGATE=1", "VERNEGATE_BIN=/bin/vernegate", "CERTIFICATE_ACL_PORT=tcp://10.0.0.9:3000")
}

func TestEditDistance(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"ab", "ba", 2},
	} {
		if got := editDistance(row.a, row.b); got != row.want {
			t.Errorf("editDistance(%q, %q) = %d, want %d", row.a, row.b, got, row.want)
		}
	}
}

// The variables that a kubelet gives to a pod in whose namespace there are a
// Service vernegate with the ports mqtts and mqtts-int, and a Service
// vernegate-admin with an unnamed port and an IPv6 address.
func TestServiceLinksAreNotOurVariables(t *testing.T) {
	t.Parallel()
	c := mustLoad(t,
		"VERNEGATE_SERVICE_HOST=10.96.0.12",
		"VERNEGATE_SERVICE_PORT=8883",
		"VERNEGATE_SERVICE_PORT_MQTTS=8883",
		"VERNEGATE_SERVICE_PORT_MQTTS_INT=9883",
		"VERNEGATE_PORT=tcp://10.96.0.12:8883",
		"VERNEGATE_PORT_8883_TCP=tcp://10.96.0.12:8883",
		"VERNEGATE_PORT_8883_TCP_PROTO=tcp",
		"VERNEGATE_PORT_8883_TCP_PORT=8883",
		"VERNEGATE_PORT_8883_TCP_ADDR=10.96.0.12",
		"VERNEGATE_ADMIN_SERVICE_HOST=fd00::12",
		"VERNEGATE_ADMIN_SERVICE_PORT=8885",
		"VERNEGATE_ADMIN_PORT=tcp://[fd00::12]:8885",
		"VERNEGATE_ADMIN_PORT_8885_TCP=tcp://[fd00::12]:8885",
		"VERNEGATE_ADMIN_PORT_8885_TCP_ADDR=fd00::12",
		"VERNEGATE_SERVICE_LISTEN=:9883",
	)
	if c.ServiceListen != ":9883" {
		t.Errorf("beside service links, VERNEGATE_SERVICE_LISTEN is %q", c.ServiceListen)
	}
}

// Names of Services that end like parts of the variables' names, in a namespace
// with no Service vernegate.
func TestServiceLinksAreReadInEveryWay(t *testing.T) {
	t.Parallel()
	for _, service := range []string{
		"VERNEGATE_SERVICE", "VERNEGATE_EXTERNAL_SERVICE", "VERNEGATE_SERVICE_PORT", "VERNEGATE_PORT", "VERNEGATE_SERVICE_HOST",
		"VERNEGATE_SERVICE_PORT_SERVICE", "VERNEGATE_PORT_9883_TCP", "VERNEGATE_REUSE",
	} {
		c := mustLoad(t,
			service+"_SERVICE_HOST=10.96.0.7",
			service+"_SERVICE_PORT=9883",
			service+"_SERVICE_PORT_SERVICE_PORT=9883",
			service+"_PORT=tcp://10.96.0.7:9883",
			service+"_PORT_9883_TCP=tcp://10.96.0.7:9883",
			service+"_PORT_9883_TCP_PROTO=tcp",
			service+"_PORT_9883_TCP_PORT=9883",
			service+"_PORT_9883_TCP_ADDR=10.96.0.7",
		)
		if c.ReusePort {
			t.Errorf("the Service %s sets VERNEGATE_REUSE_PORT", service)
		}
	}
}

func TestServiceLinksAreToldFromMistakes(t *testing.T) {
	t.Parallel()
	for _, mistake := range []string{
		"VERNEGATE_PORT=8883",         // meant as VERNEGATE_LISTEN
		"VERNEGATE_SERVICE_PORT=9883", // no address of a Service beside it
		"VERNEGATE_SERVICE_HOST=0.0.0.0:9883",
		"VERNEGATE_ADMIN_PORT=http://10.0.0.1:8885",
		"VERNEGATE_ADMIN_PORT=tcp://localhost:8885",
		"VERNEGATE_REUSE_PORT=tcp",
	} {
		if got := mistakesOf(t, mistake); len(got) != 1 {
			t.Errorf("%s gives %q, want one line", mistake, got)
		}
	}
}
