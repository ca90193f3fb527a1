// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"bufio"
	"fmt"
	"os"
	"strings"
)

// FreeMemory returns the bytes that programs can still have on this machine.
func FreeMemory() (int64, error) {
	info, err := memoryInfo()
	return info["MemAvailable"], err
}

// KernelMemory returns the bytes that the kernel keeps for its own objects and for the buffers of TCP sockets.
func KernelMemory() (int64, error) {
	info, err := memoryInfo()
	if err != nil {
		return 0, err
	}
	buffers, err := tcpBuffers()
	return info["Slab"] + buffers, err
}

// memoryInfo reads /proc/meminfo, in bytes.
func memoryInfo() (map[string]int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info := map[string]int64{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ":")
		var kilobytes int64
		if _, err := fmt.Sscan(value, &kilobytes); err == nil {
			info[name] = kilobytes << 10
		}
	}
	return info, lines.Err()
}

// tcpBuffers returns the bytes of the buffers of all TCP sockets.
func tcpBuffers() (int64, error) {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "TCP:"); ok {
			var inUse, orphan, waiting, allocated, pages int64
			if _, err := fmt.Sscanf(rest, " inuse %d orphan %d tw %d alloc %d mem %d", &inUse, &orphan, &waiting, &allocated, &pages); err != nil {
				return 0, fmt.Errorf("reading what TCP sockets hold: %w", err)
			}
			return pages * int64(os.Getpagesize()), nil
		}
	}
	return 0, fmt.Errorf("reading what TCP sockets hold: no line of TCP in %q", text)
}
