// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import "github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"

// imageOrigin is the origin of settings that the image adds.
const imageOrigin = "the patched image"

// imageSettings are what the patched image adds to every configuration: before,
// what a variable may override, and after, what none can.
type imageSettings struct{ before, after vernemqconf.Settings }

// patchedImage returns the settings of the patched image, whose start script puts
// the address of the container where node stands.
func patchedImage(node string) imageSettings {
	from := func(key, value string) vernemqconf.Setting {
		return vernemqconf.Setting{Key: key, Value: value, Origin: vernemqconf.Origin{Input: imageOrigin}}
	}
	return imageSettings{
		before: vernemqconf.Settings{from("log.console", "console")},
		after: vernemqconf.Settings{
			from("erlang.distribution.port_range.minimum", "9100"),
			from("erlang.distribution.port_range.maximum", "9109"),
			from("listener.tcp.default", node+":1883"),
			from("listener.ws.default", node+":8080"),
			from("listener.vmq.clustering", node+":44053"),
			from("listener.http.metrics", node+":8888"),
		},
	}
}
