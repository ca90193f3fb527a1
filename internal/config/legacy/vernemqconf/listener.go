// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf

import "strings"

// A Listener is one listener of VerneMQ, which is there once it has an address.
type Listener struct {
	Protocol, Name string  // "ssl" and "default" of listener.ssl.default
	Address        Setting // host:port

	settings Settings
}

// Key is the key of its address.
func (l Listener) Key() string { return "listener." + l.Protocol + "." + l.Name }

// Option returns the setting of an option such as "cafile" that counts for this
// listener: its own, or else that of all listeners of its protocol, or else
// that of all listeners.
func (l Listener) Option(name string) (Setting, bool) {
	for _, key := range []string{l.Key() + "." + name, "listener." + l.Protocol + "." + name, "listener." + name} {
		if s, ok := l.settings.Get(key); ok {
			return s, true
		}
	}
	return Setting{}, false
}

// IsOn reports whether an option is set to on.
func (l Listener) IsOn(name string) bool {
	s, _ := l.Option(name)
	return s.Value == "on"
}

// Listeners returns the listeners of a protocol ("ssl", "tcp", "ws", …) in the
// order of their addresses.
func (s Settings) Listeners(protocol string) []Listener {
	var listeners []Listener
	for _, setting := range s.Counting() {
		name, ok := strings.CutPrefix(setting.Key, "listener."+protocol+".")
		if !ok || strings.Contains(name, ".") || isLiteralKey(setting.Key) {
			continue // listener.ssl.cafile is an option, not a listener
		}
		listeners = append(listeners, Listener{Protocol: protocol, Name: name, Address: setting, settings: s})
	}
	return listeners
}
