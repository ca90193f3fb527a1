// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy"
	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// judgeVariables says of every variable of the patched image, in the order of
// their names, what becomes of it.
func (c *conversion) judgeVariables() {
	c.checkNames()
	for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
		switch {
		case c.Vars[name] == "":
		case slices.ContainsFunc(bridges, func(b bridge) bool { return b.variable == name }):
			c.addRow(row{name, "", moved, "to the ACL file, as the exact name and not as a part of it", false})
		case name == "PLUGIN_ACL_CHAIN":
			c.addRow(row{name, "", dropped, "the ACL file does not hand on what it allows to another plugin", c.Vars[name] == "y"})
		case name == "VM_ARGS":
			c.addRow(row{name, "", dropped, "the stock image writes its own `vm.args`: take over what yours adds, such as the name of the node and the cookie", true})
		case slices.Contains(c.Unread, name):
			c.judgeImages(name)
		case slices.Contains(c.Variables, name):
			c.addRow(row{name, "", kept, "in `vernegate.env`", false})
		case strings.HasPrefix(name, "VERNEGATE_"):
			c.addRow(row{name, "", dropped, "this vernegate has no such variable", true})
		}
	}
}

// judgeImages is about a variable that is for the image and no setting.
func (c *conversion) judgeImages(name string) {
	if strings.HasPrefix(name, vernemqconf.Prefix+"USER") {
		c.addRow(row{name, "", dropped, "passwords are not checked any more: clients need certificates", true})
		return
	}
	c.addRow(row{name, "", kept, "in the environment of stock VerneMQ, whose image reads it as well", false})
}

// env is the environment of vernegate: what was set before, and what the
// settings came to.
func (c *conversion) env() []byte {
	values := map[string]string{backends: c.backends()}
	if c.speaksProxy() {
		values[proxyProtocol] = "v2"
	}
	for _, v := range c.translation.Variables {
		values[v.Name] = v.Value
		c.askForReferences(v)
	}
	var b strings.Builder
	b.WriteString("# Written by vernegate convert.\n")
	for _, name := range c.Variables {
		value := values[name]
		if set := c.Vars[name]; set != "" {
			value = set
		}
		if strings.ContainsAny(value, "\r\n") {
			c.mistake("%s: a value over several lines cannot be written into vernegate.env", name)
		}
		if value != "" {
			b.WriteString(name + "=" + quoted(value) + "\n")
		}
	}
	return []byte(b.String())
}

// quoted puts a value that refers to a variable into single quotes: docker compose, and a shell, would put in the value that
// the variable has where they run, or none, and not the one in the container. config takes off the quotes where they stay,
// as with docker run --env-file and kubectl.
func quoted(value string) string {
	if !strings.Contains(value, "$") || strings.Contains(value, "'") {
		return value
	}
	return "'" + value + "'"
}

// askForReferences asks for what a value refers to. HOSTNAME is set everywhere.
func (c *conversion) askForReferences(v legacy.Variable) {
	_, unset := vernemqconf.Expand(v.Value, func(name string) (string, bool) { return "", name == "HOSTNAME" })
	if len(unset) > 0 {
		c.addOpen("`%s`: its value refers to %s, which vernegate needs in its environment as well", v.Name, strings.Join(unset, ", "))
	}
}

// backends is where vernegate finds the broker. A listener on all addresses does
// not say.
func (c *conversion) backends() string {
	host, _, _ := net.SplitHostPort(c.BrokerListen)
	if addr, err := netip.ParseAddr(host); err == nil && !addr.IsUnspecified() {
		return c.BrokerListen
	}
	if c.Vars[backends] == "" {
		c.addOpen("`%s`: say where vernegate finds the broker that listens on %s", backends, c.BrokerListen)
	}
	return ""
}
