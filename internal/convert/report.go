// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// differences is what is not as it was, whatever the configuration.
//
//go:embed differences.md
var differences string

// report says what became of everything.
func (c *conversion) report() []byte {
	var b strings.Builder
	b.WriteString("# From the patched VerneMQ to stock VerneMQ and vernegate\n\n")
	b.WriteString("Written by `vernegate convert`, which read the keys of VerneMQ " + vernemqconf.Patched + " and wrote for " + vernemqconf.Stock + ".\n")
	c.reportOpen(&b)
	c.reportRows(&b, "Settings", func(r row) bool { return r.origin != "" })
	c.reportRows(&b, "Variables", func(r row) bool { return r.origin == "" })
	c.reportAdded(&b)
	b.WriteString("\n" + differences)
	c.reportChecks(&b)
	return []byte(b.String())
}

func (c *conversion) reportOpen(b *strings.Builder) {
	b.WriteString("\n## To be decided by a person\n\n")
	if len(c.open) == 0 {
		b.WriteString("Nothing.\n")
	}
	for _, line := range c.open {
		b.WriteString("- " + line + "\n")
	}
}

func (c *conversion) reportRows(b *strings.Builder, title string, belongs func(row) bool) {
	if !slices.ContainsFunc(c.rows, belongs) {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| name | where | fate | why |\n|---|---|---|---|\n", title)
	for _, r := range c.rows {
		if belongs(r) {
			where := r.origin
			if where == "" {
				where = "environment"
			}
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", cell(r.subject), cell(where), r.outcome, cell(r.why))
		}
	}
}

// cell keeps text within its cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// reportAdded lists the settings that the old configuration did not have.
func (c *conversion) reportAdded(b *strings.Builder) {
	b.WriteString("\n## Added to vernemq.conf\n\n")
	for _, p := range c.ours {
		fmt.Fprintf(b, "- `%s = %s`\n", p.key, p.value)
	}
}

// reportChecks lists what only a person on site can check.
func (c *conversion) reportChecks(b *strings.Builder) {
	b.WriteString("\n## To be checked by hand\n\n")
	for _, line := range c.checks() {
		b.WriteString("- " + line + "\n")
	}
}

func (c *conversion) checks() []string {
	lines := []string{
		"`vernemq.conf` goes to `/vernemq/etc/vernemq.conf.local` in the stock image. As `vernemq.conf` itself the image would add listeners that everybody can reach, " +
			"and it puts the address of the container in the place of `" + vernemqconf.ContainerAddress + "` in the `.local` file alone.",
		"`vmq.acl` goes to `" + c.ACLFile + "`. VerneMQ denies everything where it does not find the file.",
		"Nobody but vernegate reaches " + c.BrokerListen + " of the broker: in the same pod that is so by itself on 127.0.0.1, elsewhere a network policy has to see to it.",
		"The files that `vernegate.env` names are in vernegate's container; `vernegate check` says which are not.",
	}
	for _, bridge := range bridges {
		lines = append(lines, "certificate-acl answers `\""+bridge.name(c.Vars)+"\"`, exactly, for the certificate of that bridge.")
	}
	if _, ok := c.settings.Get("accept_eula"); ok {
		lines = append(lines, "`accept_eula` was kept, which the packages and images that VerneMQ publishes demand. A VerneMQ that was built from source does not know it and does not start with it: there the line has to go.")
	} else {
		lines = append(lines, "The packages and images that VerneMQ publishes start only with `accept_eula = yes`, which accepts their terms: that is not ours to write.")
	}
	return append(lines,
		"Whether the data of VerneMQ "+vernemqconf.Patched+" is to be kept: the stock broker was not tried on it. With empty volumes, persistent sessions and retained messages are gone.")
}
