// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"net"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

const (
	devices  = "VERNEGATE_LISTEN"
	services = "VERNEGATE_SERVICE_LISTEN"
)

// defaultListener is what dojot calls the listener for devices.
const defaultListener = "default"

// listeners finds the listeners that vernegate takes the place of: the one that
// takes the username from the certificate is for devices, and so is the one
// called "default"; another one is for internal services.
func (t *translator) listeners() {
	for _, l := range t.settings.Listeners("ssl") {
		if l.IsOn("use_identity_as_username") || l.Name == defaultListener {
			t.take(&t.Devices, devices, l)
		} else {
			t.take(&t.Services, services, l)
		}
	}
	for _, l := range t.entries() {
		if s, ok := l.Option("use_identity_as_username"); ok {
			t.judge(Verdict{Setting: s, Disposition: Builtin, Reason: "the username is the owner of the certificate on every listener of vernegate"})
		}
		if s, ok := l.Option("require_certificate"); ok && s.Value == "on" {
			t.judge(Verdict{Setting: s, Disposition: Builtin, Reason: "vernegate always demands a certificate"})
		} else if ok {
			t.judge(Verdict{Setting: s, Disposition: Unsupported, Reason: "vernegate always demands a certificate: clients without one are refused"})
		}
	}
}

// take makes a listener the one that a variable stands for. A second one is a
// mistake unless a variable overrides it.
func (t *translator) take(place **vernemqconf.Listener, variable string, l vernemqconf.Listener) {
	if *place == nil {
		*place = &l
		t.set(variable, t.address(l), l.Address)
		return
	}
	if t.Override(variable) != "" {
		t.set(variable, "", l.Address)
		return
	}
	t.judge(Verdict{Setting: l.Address, Disposition: Unsupported, Reason: "vernegate has one listener of this kind"})
	t.mistake("%v: a second listener beside %v, expected one, or %s to say which", l.Address, (*place).Address, variable)
}

// address spells the address of a listener as Go does. VerneMQ does not need
// brackets around an IPv6 address.
func (t *translator) address(l vernemqconf.Listener) string {
	value := t.expand(l.Address)
	colon := strings.LastIndexByte(value, ':')
	if colon < 0 {
		return value // no address: the parser of the variable reports it
	}
	host, port := strings.Trim(value[:colon], "[]"), value[colon+1:]
	if vernemqconf.References(host) || host == vernemqconf.ContainerAddress {
		host = ""
	}
	return net.JoinHostPort(host, port)
}
