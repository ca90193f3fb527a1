// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"encoding/base64"
	"maps"
	"os"
	"slices"
	"strings"
)

// PatchedConf is a vernemq.conf as dojot's patched VerneMQ had it, with a listener
// for devices and one for services, and its files in a Folder.
func PatchedConf(devices, services string, f Folder) string {
	lines := []string{
		"metadata_plugin = vmq_swc",
		"plugins.vmq_passwd = off",
		"plugins.vmq_acl = off",
		"plugins.dojot_acl_plugin = on",
		"plugins.dojot_acl_plugin.path = /vernemq/dojot_acl_plugin/default",
		"plugins.dojot_disconnect_plugin = on",
		"plugins.dojot_disconnect_plugin.path = /vernemq/dojot_disconnect_plugin/default",
		"log.console = console",
		"max_inflight_messages = 20",
	}
	listeners := map[string]string{"default": devices, "internal": services}
	for _, name := range slices.Sorted(maps.Keys(listeners)) {
		key := "listener.ssl." + name
		lines = append(lines,
			key+" = "+listeners[name],
			key+".certfile = "+f.path("$HOSTNAME.crt"),
			key+".keyfile = "+f.path("$HOSTNAME.key"),
			key+".cafile = "+f.path("bundle.crt"),
			key+".crlfile = "+f.path("ca.crl"),
			key+".require_certificate = on",
		)
	}
	lines = append(lines, "listener.ssl.default.use_identity_as_username = on")
	return strings.Join(lines, "\n") + "\n"
}

// PatchedEnv is the environment that the patched image had with such a vernemq.conf.
func PatchedEnv(conf string) map[string]string {
	return map[string]string{
		"HOSTNAME":     "server", // as the files of a Folder are called
		"MY_POD_IP":    "127.0.0.1",
		"VERNEMQ_CONF": base64.StdEncoding.EncodeToString([]byte(conf)),
		"VM_ARGS":      base64.StdEncoding.EncodeToString([]byte("+P 256000\n")),
	}
}

// ReadEnv reads a file of NAME=value lines.
func ReadEnv(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	return env, nil
}
