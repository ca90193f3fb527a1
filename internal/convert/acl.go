// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"strings"
	"unicode"
)

// A bridge is a service that the ACL plugin had given rights of its own.
type bridge struct {
	variable, service string // the variable with its name, and its name without that
	title             string
	right             string
}

var bridges = []bridge{
	{"PLUGIN_ACL_V2K_SERVICENAME", "v2k-bridge", "The bridge from VerneMQ to Kafka reads everything, with shared subscriptions as well.", "topic read #"},
	{"PLUGIN_ACL_K2V_SERVICENAME", "k2v-bridge", "The bridge from Kafka to VerneMQ configures every device.", "topic write +/config/#"},
}

// name is what the bridge is called.
func (b bridge) name(vars map[string]string) string {
	if name := vars[b.variable]; name != "" {
		return name
	}
	return b.service
}

// acl is the ACL file: what the plugin allowed, by exact names. The plugin looked
// at the first two levels of a topic and let pass whatever followed, which is
// what the wildcards say.
func (c *conversion) acl() []byte {
	var b strings.Builder
	b.WriteString(`# Written by vernegate convert, for VerneMQ's plugin vmq_acl. %u is the username, which
# vernegate makes the owner of the client's certificate.

# Every client publishes its attributes and reads its configuration.
pattern write %u/attrs/#
pattern read %u/config/#
`)
	for _, bridge := range bridges {
		b.WriteString("\n# " + bridge.title + "\nuser " + bridge.name(c.Vars) + "\n" + bridge.right + "\n")
	}
	return []byte(b.String())
}

// checkNames reports names of bridges that cannot be names of services.
func (c *conversion) checkNames() {
	for _, b := range bridges {
		name := b.name(c.Vars)
		switch {
		case strings.Contains(name, ":"):
			c.mistake("%s=%q: a name with a colon is a device's, and devices are refused where services connect", b.variable, name)
		case strings.ContainsAny(name, "+#/ ") || strings.ContainsFunc(name, unicode.IsControl):
			c.mistake("%s=%q: expected a name without white space, +, # and /", b.variable, name)
		}
	}
}
