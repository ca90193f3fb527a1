// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/vernegate/vernegate/internal/dial"
)

// A listenAddress is host:port as net.Listen takes it: without a host all
// addresses, with port 0 a free port.
type listenAddress string

// UnmarshalText parses host:port.
func (a *listenAddress) UnmarshalText(text []byte) error {
	_, port, err := net.SplitHostPort(string(text))
	if err != nil || !isPort(port, 0) {
		return errors.New("expected an address to listen on such as :8883 or 192.0.2.1:8883")
	}
	*a = listenAddress(text)
	return nil
}

// An adminAddress is where the admin interface listens; empty: there is none.
type adminAddress listenAddress

// UnmarshalText parses host:port or "off".
func (a *adminAddress) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*a = ""
		return nil
	}
	if err := (*listenAddress)(a).UnmarshalText(text); err != nil {
		return errors.New("expected off, or an address to listen on such as :8885 or 127.0.0.1:8885")
	}
	return nil
}

// overlaps reports whether listening on both addresses cannot succeed: they have
// a port in common, and the host, or one takes what is meant for the other. An
// empty address overlaps with none.
func (a listenAddress) overlaps(b listenAddress) bool {
	hostA, portA, errA := net.SplitHostPort(string(a))
	hostB, portB, errB := net.SplitHostPort(string(b))
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return covers(hostA, hostB) || covers(hostB, hostA)
}

// covers reports whether listening on host includes other: on no host and on ::
// Go listens for IPv4 and IPv6, on 0.0.0.0 for IPv4.
func covers(host, other string) bool {
	ip, err := netip.ParseAddr(host)
	otherIP, _ := netip.ParseAddr(other) // of a name it may be either
	switch {
	case host == "" || host == other:
		return true
	case err != nil || !ip.IsUnspecified():
		return false
	}
	return ip.Is6() || !otherIP.Is6()
}

// A backendList is one or more brokers as host:port or unix:/path, as in package
// dial. A host that is a name is not resolved here.
type backendList []string

// UnmarshalText parses elements separated by commas and names every one that is
// wrong.
func (l *backendList) UnmarshalText(text []byte) error {
	addresses, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected host:port or unix:/path of MQTT brokers separated by commas", err)
	}
	var errs []error
	for _, address := range addresses {
		if dial.IsUnix(address) {
			if err := dial.CheckUnix(address); err != nil {
				errs = append(errs, fmt.Errorf("%q: %w", address, err))
			}
			continue
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || !isPort(port, 1) {
			errs = append(errs, fmt.Errorf("%q is not a host:port such as vernemq:1883", address))
		}
	}
	*l = addresses
	return joinInLine(errs)
}

// hostNames are names of hosts, without ports.
type hostNames []string

// UnmarshalText parses names separated by commas and names every one that is
// wrong.
func (l *hostNames) UnmarshalText(text []byte) error {
	names, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected names of hosts separated by commas", err)
	}
	var errs []error
	for _, name := range names {
		if strings.ContainsAny(name, ":/ *") {
			errs = append(errs, fmt.Errorf("%q is not the name of a host such as gate.example.org", name))
		}
	}
	*l = names
	return joinInLine(errs)
}

// isPort reports whether port is a number in the range of TCP ports from lowest.
func isPort(port string, lowest uint64) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n >= lowest
}
