// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"net"
	"os/exec"
)

// ToolArgs begins the arguments of mosquitto_pub and mosquitto_sub: where the broker
// is, and the version.
func ToolArgs(addr string, v Version) ([]string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	version := map[Version]string{V31: "mqttv31", V311: "mqttv311", V5: "mqttv5"}[v]
	return []string{"-h", host, "-p", port, "-V", version}, nil
}

// RunTool runs mosquitto_pub or mosquitto_sub to its end. The error carries what it
// printed.
func RunTool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w\n%s", name, err, out)
	}
	return nil
}

// StartTool starts mosquitto_sub or mosquitto_pub. The caller stops it.
func StartTool(name string, args ...string) (*Process, error) {
	return start(exec.Command(name, args...))
}
