// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// conf is what this broker understands of a vernemq.conf.
type conf struct {
	mqtt  []mqttListener
	http  []string // host:port
	rules *rules   // nil allows everything
}

// mqttListener is a listener.tcp.NAME.
type mqttListener struct {
	addr  string // host:port
	proxy bool   // expects a PROXY header
}

// readConf reads a vernemq.conf and the ACL file that it names.
func readConf(path string) (*conf, error) {
	settings, err := readSettings(path)
	if err != nil {
		return nil, err
	}
	c := &conf{}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		kind, name := cutListener(key)
		switch kind {
		case "tcp":
			c.mqtt = append(c.mqtt, mqttListener{settings[key], settings["listener.tcp."+name+".proxy_protocol"] == "on"})
		case "http":
			c.http = append(c.http, settings[key])
		}
	}
	if len(c.mqtt) == 0 {
		return nil, fmt.Errorf("reading %s: there is no listener.tcp", path)
	}
	if settings["plugins.vmq_acl"] == "on" {
		c.rules, err = readRules(settings["vmq_acl.acl_file"])
	}
	return c, err
}

// cutListener takes "listener.tcp.NAME" apart; kind is "" for any other key.
func cutListener(key string) (kind, name string) {
	if parts := strings.Split(key, "."); len(parts) == 3 && parts[0] == "listener" {
		return parts[1], parts[2]
	}
	return "", ""
}

// readSettings reads lines of "key = value".
func readSettings(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	settings := map[string]string{}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); ok && !strings.HasPrefix(key, "#") {
			settings[key] = strings.TrimSpace(value)
		}
	}
	return settings, nil
}
