// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"slices"
	"strconv"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

const (
	// listenerKey is the one listener of stock VerneMQ for MQTT: vernegate's.
	listenerKey = "listener.tcp.vernegate"

	// defaultConnections is how many connections a listener of VerneMQ takes
	// unless it is told.
	defaultConnections = 10000

	backends      = "VERNEGATE_BACKENDS"
	proxyProtocol = "VERNEGATE_BACKEND_PROXY_PROTOCOL"
)

// A fixedSetting is one that every conversion makes.
type fixedSetting struct{ key, value, why string }

// fixed are the settings that make stock VerneMQ believe vernegate and nobody
// else.
func (c *conversion) fixed() []fixedSetting {
	return []fixedSetting{
		{"allow_anonymous", "on", "vernegate has authenticated whoever comes, and nobody else reaches the listener"},
		{"plugins.vmq_passwd", "off", "certificates are what authenticates"},
		{"plugins.vmq_acl", "on", "it takes the place of dojot's ACL plugin"},
		{"vmq_acl.acl_file", c.ACLFile, "the converted ACL file"},
	}
}

// addListener adds vernegate's listener, and the settings that go with it.
func (c *conversion) addListener() {
	options := c.ours
	c.ours = []pair{{listenerKey, c.BrokerListen}}
	if c.speaksProxy() {
		c.ours = append(c.ours, pair{listenerKey + ".proxy_protocol", "on"})
	}
	if !slices.ContainsFunc(options, func(p pair) bool { return p.key == listenerKey+".max_connections" }) {
		c.ours = append(c.ours, pair{listenerKey + ".max_connections", c.connections()})
	}
	c.ours = append(c.ours, options...)
	for _, f := range c.fixed() {
		c.ours = append(c.ours, pair{f.key, f.value})
	}
}

// isOurs reports whether the conversion sets a key itself.
func (c *conversion) isOurs(key string) bool {
	return key == listenerKey || strings.HasPrefix(key, listenerKey+".") ||
		slices.ContainsFunc(c.fixed(), func(f fixedSetting) bool { return f.key == key })
}

// replace is about a setting that the conversion sets itself. Options of
// vernegate's own listener stay as they were, but for what it listens for.
func (c *conversion) replace(s vernemqconf.Setting) {
	if option, ok := strings.CutPrefix(s.Key, listenerKey); ok {
		if option != "" && option != ".proxy_protocol" {
			c.ours = append(c.ours, pair{s.Key, s.Value})
		}
		c.addRow(row{s.Key, s.Origin.String(), kept, "vernegate's own listener", false})
		return
	}
	fixed := c.fixed()
	f := fixed[slices.IndexFunc(fixed, func(f fixedSetting) bool { return f.key == s.Key })]
	r := row{s.Key, s.Origin.String(), dropped, "replaced: " + f.why, false}
	switch {
	case s.Value == f.value:
		r.outcome, r.why = kept, f.why
	case s.Key == "plugins.vmq_passwd":
		r.open, r.why = true, "passwords are not checked any more: clients need certificates"
	case s.Key == "vmq_acl.acl_file":
		r.open, r.why = true, "what your own ACL file allows has to be added to the converted one"
	}
	c.addRow(r)
}

// speaksProxy reports whether vernegate is to tell the broker the addresses of its
// clients.
func (c *conversion) speaksProxy() bool {
	return c.has(proxyProtocol) && c.Vars[proxyProtocol] != "off"
}

// connections is how many connections the plain listener takes: as many as the
// TLS listeners took together.
func (c *conversion) connections() string {
	sum := 0
	for _, l := range []*vernemqconf.Listener{c.translation.Devices, c.translation.Services} {
		if l == nil {
			continue
		}
		limit, ok := l.Option("max_connections")
		if !ok {
			sum += defaultConnections
			continue
		}
		n, err := strconv.Atoi(limit.Value)
		if err != nil {
			return "infinity" // what is neither is a mistake, reported elsewhere
		}
		sum += n
	}
	if sum == 0 {
		sum = defaultConnections
	}
	return strconv.Itoa(sum)
}

// conf is the new vernemq.conf.
func (c *conversion) conf() []byte {
	var b strings.Builder
	b.WriteString("# Written by vernegate convert, for stock VerneMQ behind vernegate. REPORT.md says\n# what became of each setting.\n")
	writePairs(&b, "\n# Kept.\n", c.keep)
	writePairs(&b, "\n# Nobody but vernegate may reach this listener: it says who a client is.\n", c.ours)
	return []byte(b.String())
}

func writePairs(b *strings.Builder, title string, pairs []pair) {
	if len(pairs) == 0 {
		return
	}
	b.WriteString(title)
	for _, p := range pairs {
		value := p.value
		if value == "" || strings.Contains(strings.ReplaceAll(value, vernemqconf.ContainerAddress, ""), "#") {
			value = "'" + value + "'"
		}
		b.WriteString(p.key + " = " + value + "\n")
	}
}
