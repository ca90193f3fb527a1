// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/vernegate/vernegate/bench/peer"
)

// What a session needs, with everything: devices, vernegate, broker, and the kernel's sockets.
const (
	memoryOfSession      = 100 << 10 // bytes
	descriptorsOfSession = 2         // in each process that has its share of them
)

// enoughFor says everything that this machine lacks for so many sessions.
func enoughFor(sessions int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	var lacks []error
	each := min(sessions, thorough.full)
	if want := uint64(each * descriptorsOfSession * 10 / 9); uint64(limit.Cur) < want { // an int64 on FreeBSD
		lacks = append(lacks, fmt.Errorf("a process may have %d descriptors, and needs %d: ulimit -n", limit.Cur, want))
	}
	free, err := peer.FreeMemory()
	if err != nil {
		return err
	}
	if want := int64(sessions) * memoryOfSession; free < want {
		lacks = append(lacks, fmt.Errorf("%d MB of memory are free, and %d are needed", free>>20, want>>20))
	}
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return err
	}
	var first, last int
	if _, err := fmt.Sscan(string(text), &first, &last); err != nil {
		return fmt.Errorf("reading the range of ports: %w", err)
	}
	if ports := last - first + 1; ports < 2*each {
		lacks = append(lacks, fmt.Errorf("an address has %d ports for connections, and %d are needed: net.ipv4.ip_local_port_range", ports, 2*each))
	}
	return errors.Join(lacks...)
}
