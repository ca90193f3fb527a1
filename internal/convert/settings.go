// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy"
	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// podAddress is how dojot's operator writes the address of a node.
const podAddress = "$MY_POD_IP"

// judgeSettings says of every setting what becomes of it, in their order.
func (c *conversion) judgeSettings() {
	for _, s := range c.settings {
		if last, _ := c.settings.Get(s.Key); last != s {
			c.addRow(row{s.Key, s.Origin.String(), dropped, "did not count: " + last.Origin.String() + " comes later", false})
			continue
		}
		c.judge(s)
	}
	c.checkPlugin()
}

// judge says of a setting that counts what becomes of it.
func (c *conversion) judge(s vernemqconf.Setting) {
	verdict, judged := c.translation.Verdict(s)
	switch {
	case !vernemqconf.IsKnown(s.Key):
		c.mistake("%v: no such key of VerneMQ %s or %s", s, vernemqconf.Patched, vernemqconf.Stock)
	case c.isOurs(s.Key):
		c.replace(s)
	case judged:
		c.follow(s, verdict)
	case strings.HasPrefix(s.Key, "plugins."):
		c.judgePlugin(s)
	case isClientListener(s.Key):
		c.closeListener(s)
	case c.isSecondHTTP(s):
		c.drop(s, false, "another HTTP listener has its port")
	case !vernemqconf.IsKey(vernemqconf.Stock, s.Key) && !vernemqconf.IsPackageKey(s.Key):
		c.drop(s, true, "VerneMQ "+vernemqconf.Stock+" has no such key any more, and would not start")
	default:
		c.keepSetting(s, "the broker's")
	}
}

func (c *conversion) drop(s vernemqconf.Setting, open bool, why string) {
	c.addRow(row{s.Key, s.Origin.String(), dropped, why, open})
}

// keepSetting keeps a setting, with the address of the node where the old one had
// that of the pod. Other references stay as they are.
func (c *conversion) keepSetting(s vernemqconf.Setting, why string) {
	value := strings.ReplaceAll(s.Value, podAddress, c.NodeAddress)
	open := vernemqconf.References(value)
	if open {
		why = "its value refers to a variable, which nothing replaces for stock VerneMQ: write what it stands for"
	}
	c.keep = append(c.keep, pair{s.Key, value})
	c.addRow(row{s.Key, s.Origin.String(), kept, why, open})
}

// follow does as the translation to vernegate's variables says.
func (c *conversion) follow(s vernemqconf.Setting, v legacy.Verdict) {
	isBrokers := !strings.HasPrefix(s.Key, "listener.ssl.") && vernemqconf.IsKey(vernemqconf.Stock, s.Key) && s.Key != "crl_refresh_interval"
	switch {
	case isBrokers && v.Disposition == legacy.Mapped:
		c.keepSetting(s, "and `"+v.Variable+"` says the same to vernegate")
	case isBrokers:
		c.keepSetting(s, "the broker's")
	case v.Disposition == legacy.Mapped:
		c.addRow(row{s.Key, s.Origin.String(), moved, "to `" + v.Variable + "`", false})
	case v.Disposition == legacy.Overridden:
		c.drop(s, false, "`"+v.Variable+"` is set and goes before it")
	case v.Disposition == legacy.BrokerOnly:
		c.carry(s)
	case v.Disposition == legacy.Unsupported && c.variableOf(s) != "":
		c.addRow(row{s.Key, s.Origin.String(), moved, "to `" + c.variableOf(s) + "`, but " + v.Reason, true})
	default:
		c.drop(s, v.Disposition == legacy.Unsupported, v.Reason)
	}
}

// variableOf returns the variable that a setting has a part in, "" if none.
func (c *conversion) variableOf(s vernemqconf.Setting) string {
	for _, v := range c.translation.Variables {
		if slices.Contains(v.From, s) {
			return v.Name
		}
	}
	return ""
}

// carry gives an option of TLS listeners to the plain listener that stock
// VerneMQ has instead of them.
func (c *conversion) carry(s vernemqconf.Setting) {
	option := s.Key[strings.LastIndexByte(s.Key, '.')+1:]
	key := listenerKey + "." + option
	i := slices.IndexFunc(c.ours, func(p pair) bool { return p.key == key })
	switch {
	case i < 0:
		c.ours = append(c.ours, pair{key, s.Value})
		fallthrough
	case c.ours[i].value == s.Value:
		c.addRow(row{s.Key, s.Origin.String(), moved, "to `" + key + "`", false})
	default:
		c.drop(s, true, fmt.Sprintf("the one plain listener has %q of another listener", c.ours[i].value))
	}
}

// isClientListener reports whether a key is about a listener for MQTT clients that
// are not vernegate.
func isClientListener(key string) bool {
	words := strings.Split(key, ".")
	if len(words) < 3 || words[0] != "listener" {
		return false
	}
	isOption := len(words) == 3 && legacy.IsPlainOption(words[2])
	return words[1] == "wss" || (words[1] == "tcp" || words[1] == "ws") && !isOption
}

// closeListener drops a listener that lets clients past vernegate: nobody but
// vernegate may say who a client is. It is a question, once for a listener, unless
// the image alone had opened it.
func (c *conversion) closeListener(s vernemqconf.Setting) {
	isAddress := strings.Count(s.Key, ".") == 2
	reason := "with `allow_anonymous = on`, whoever connects here could call itself what it likes; clients have to come to vernegate"
	if strings.HasPrefix(s.Key, "listener.ws") { // also wss
		reason += ", by WebSocket where `VERNEGATE_WS_LISTEN` says"
	}
	c.drop(s, isAddress && s.Origin.Input != imageOrigin, reason)
}

// isSecondHTTP reports whether the image's HTTP listener would want the port of one
// that was configured.
func (c *conversion) isSecondHTTP(s vernemqconf.Setting) bool {
	if s.Origin.Input != imageOrigin || !strings.HasPrefix(s.Key, "listener.http.") {
		return false
	}
	return slices.ContainsFunc(c.settings.Listeners("http"), func(l vernemqconf.Listener) bool {
		return l.Address != s && port(l.Address.Value) == port(s.Value)
	})
}

// port returns what follows the last colon of an address.
func port(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
