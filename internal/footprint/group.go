// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package footprint

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// groupLimit returns the memory that this process's control group may use, in bytes, when it is limited: the least of
// the limits on the way from its group to the root. In a container its own group usually is the root.
func groupLimit(root fs.FS) (limit int64, limited bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false // no Linux
	}
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path: cgroups(7)
		if len(fields) != 3 {
			continue
		}
		mount, file := "", ""
		switch fields[1] {
		case "": // version 2
			mount, file = "sys/fs/cgroup", "memory.max"
		case "memory":
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Clean("/" + fields[2]); ; group = path.Dir(group) {
			if n, ok := readLimit(root, path.Join(mount, group, file)); ok && (!limited || n < limit) {
				limit, limited = n, true
			}
			if group == "/" {
				break
			}
		}
	}
	return limit, limited
}

// noLimit is from where on version 1 means that there is none: it says so with the largest number of whole pages.
const noLimit = 1 << 62

func readLimit(root fs.FS, file string) (int64, bool) {
	text, err := fs.ReadFile(root, file)
	if err != nil {
		return 0, false // the group's path is one of the host's, and not seen from here
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0 && n < noLimit // version 2 says "max"
}
