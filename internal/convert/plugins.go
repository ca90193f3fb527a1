// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

const (
	aclPlugin        = "dojot_acl_plugin"
	disconnectPlugin = "dojot_disconnect_plugin"
	kubernetesPlugin = "vmq_k8s"
)

// stockPlugins come with every VerneMQ.
var stockPlugins = []string{"vmq_acl", "vmq_passwd", "vmq_diversity", "vmq_webhooks", "vmq_bridge", "vmq_http_pub", "vmq_web_ui"}

// checkPlugin asks what decided about topics if dojot's plugin did not.
func (c *conversion) checkPlugin() {
	if s, _ := c.settings.Get("plugins." + aclPlugin); s.Value != "on" && !c.converted() {
		c.addOpen("`plugins.%s` was not on: the ACL file says what it would have allowed, and not what was allowed", aclPlugin)
	}
}

// judgePlugin says what becomes of plugins.NAME, plugins.NAME.path and the like.
func (c *conversion) judgePlugin(s vernemqconf.Setting) {
	words := strings.Split(s.Key, ".")
	name, isSwitch := words[1], len(words) == 2
	switch {
	case name == aclPlugin:
		c.drop(s, false, "what it allowed stands in the ACL file")
	case name == disconnectPlugin:
		c.drop(s, false, "vernegate ends sessions whose certificate is revoked, has expired or changed its owner")
	case name == kubernetesPlugin:
		c.drop(s, isSwitch && s.Value == "on", "the stock image has no such plugin: its nodes find each other with `DOCKER_VERNEMQ_DISCOVERY_KUBERNETES=1`")
	case slices.Contains(stockPlugins, name):
		c.keepSetting(s, "the broker's")
	default:
		c.drop(s, isSwitch && s.Value == "on", "the stock image has no such plugin")
	}
}
