// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy"
	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// brokersVariables are what the patched image reads besides and vernegate has no
// counterpart for, with what has.
var brokersVariables = map[string]string{
	"PLUGIN_ACL_CHAIN":           "plugins of the broker are its own matter",
	"PLUGIN_ACL_K2V_SERVICENAME": "rights are in the broker's ACL file",
	"PLUGIN_ACL_V2K_SERVICENAME": "rights are in the broker's ACL file",
	"VM_ARGS":                    "it is for the broker's virtual machine",
}

// legacyEnv is what the environment of dojot's patched VerneMQ image says to
// vernegate, which takes its place.
type legacyEnv struct {
	origins  map[string][]vernemqconf.Setting // of variables that are not set themselves
	verdicts []legacy.Verdict
	brokers  vernemqconf.Settings     // the broker's alone
	unknown  vernemqconf.Settings     // of no VerneMQ
	void     [][2]vernemqconf.Setting // settings that a later one overrides, with that one
	unread   []string                 // variables that mean nothing to vernegate
	errs     []error
}

// readLegacy reads VERNEMQ_CONF and DOCKER_VERNEMQ_*, and sets the variables of
// ours in vars that are not set and that they have a value for.
func readLegacy(vars map[string]string) legacyEnv {
	settings, unread, err := oldSettings(vars)
	in := legacyEnv{unread: unread, void: settings.Overridden()}
	if err != nil {
		in.errs = append(in.errs, err)
	}
	translation := legacy.Translate(settings, legacy.Options{
		Has:      func(variable string) bool { return slices.Contains(Variables(), variable) },
		Override: func(variable string) string { return vars[variable] },
		Cipher:   CheckCipher,
		Lookup:   func(name string) (string, bool) { value := vars[name]; return value, value != "" },
	})
	in.errs = append(in.errs, translation.Mistakes...)
	in.verdicts = translation.Verdicts
	in.origins = legacyOrigins(translation.Variables).origins
	for _, v := range translation.Variables {
		vars[v.Name] = v.Value
	}
	for _, s := range settings.Counting() {
		_, judged := translation.Verdict(s)
		switch {
		case judged:
		case vernemqconf.IsKnown(s.Key):
			in.brokers = append(in.brokers, s)
		default:
			in.unknown = append(in.unknown, s)
		}
	}
	return in
}

// legacyOrigins is what variables come from, and nothing else.
func legacyOrigins(variables []legacy.Variable) legacyEnv {
	in := legacyEnv{origins: map[string][]vernemqconf.Setting{}}
	for _, v := range variables {
		in.origins[v.Name] = v.From
	}
	return in
}

// oldSettings returns the settings that the patched image would have had, those
// of DOCKER_VERNEMQ_* last, and the variables that are no settings.
func oldSettings(vars map[string]string) (settings vernemqconf.Settings, unread []string, err error) {
	var errs []error
	if encoded := vars[vernemqconf.Variable]; encoded != "" {
		text, err := vernemqconf.Decode(encoded)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", vernemqconf.Variable, err))
		}
		settings, err = vernemqconf.Parse(vernemqconf.Variable, text)
		errs = append(errs, err)
	}
	fromVariables, unread, err := vernemqconf.FromEnviron(vars)
	for name := range brokersVariables {
		if vars[name] != "" {
			unread = append(unread, name)
		}
	}
	slices.Sort(unread)
	return slices.Concat(settings, fromVariables), unread, errors.Join(append(errs, err)...)
}

// origin says which settings the value of a variable comes from, "" if none.
func (in legacyEnv) origin(variable string) string {
	var from []string
	for _, s := range in.origins[variable] {
		from = append(from, s.String())
	}
	return strings.Join(from, ", ")
}

// counts reports whether a variable has its value from a setting.
func (in legacyEnv) counts(s vernemqconf.Setting) bool {
	for _, from := range in.origins {
		if slices.Contains(from, s) {
			return true
		}
	}
	return false
}

// warnings are what was found and is not so with vernegate, a line each, but for
// what is the broker's alone.
func (in legacyEnv) warnings() []string {
	var lines []string
	for _, v := range in.verdicts {
		switch {
		case v.Disposition == legacy.Unsupported && in.counts(v.Setting):
			lines = append(lines, fmt.Sprintf("%v counts in part: %s", v.Setting, v.Reason))
		case v.Disposition == legacy.Unsupported || v.Disposition == legacy.BrokerOnly:
			lines = append(lines, fmt.Sprintf("%v has no counterpart: %s", v.Setting, v.Reason))
		case v.Disposition == legacy.Overridden:
			lines = append(lines, fmt.Sprintf("%v does not count: %s is set", v.Setting, v.Variable))
		}
	}
	for _, s := range in.unknown {
		lines = append(lines, fmt.Sprintf("%v is a setting of no VerneMQ, neither of %s nor of %s: is it misspelt?", s, vernemqconf.Patched, vernemqconf.Stock))
	}
	for _, pair := range in.void {
		lines = append(lines, fmt.Sprintf("%v does not count: %v comes later", pair[0], pair[1]))
	}
	for _, name := range in.unread {
		reason, ok := brokersVariables[name]
		if !ok {
			reason = "it is for the image of the broker"
		}
		lines = append(lines, fmt.Sprintf("%s has no counterpart: %s", name, reason))
	}
	return lines
}

// LogLegacy logs what the environment of the patched broker says and vernegate does not do.
func (c Config) LogLegacy(log *slog.Logger) {
	for _, line := range c.legacy.warnings() {
		log.Warn("configuration of the patched broker", "finding", line)
	}
	if len(c.legacy.brokers) > 0 {
		log.Warn("settings without a counterpart: they are the broker's", "settings", c.legacy.brokersKeys())
	}
}

// brokersKeys are the keys of the settings that are the broker's alone.
func (in legacyEnv) brokersKeys() []string {
	var keys []string
	for _, s := range in.brokers {
		keys = append(keys, s.Key)
	}
	return keys
}

// WithOrigin returns the name of a variable and, where its value is inherited,
// the settings: an operator knows these.
func (c Config) WithOrigin(variable string) string {
	if from := c.legacy.origin(variable); from != "" {
		return variable + " from " + from
	}
	return variable
}
