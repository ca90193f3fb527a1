// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// Options say what is known where settings are translated. All fields but
// Lookup are required.
type Options struct {
	// Has reports whether this vernegate has a variable of that name. What would
	// come to one that it does not have is lost.
	Has func(variable string) bool
	// Override returns what a variable of vernegate was set to beside the settings,
	// "" for nothing: it goes before them, and settles what contradicts.
	Override func(variable string) string
	// Cipher says why a cipher suite that OpenSSL calls by this name cannot be
	// chosen, nil if it can.
	Cipher func(name string) error
	// Lookup finds what $NAME stands for in a value. nil leaves $NAME in the
	// names of files, and takes all addresses for a listener that has one.
	Lookup func(name string) (string, bool)
}

// A Variable is one variable of vernegate with what the settings make of it.
type Variable struct {
	Name, Value string
	From        []vernemqconf.Setting // what it was made of, at least one
}

// A Disposition is what becomes of a setting.
type Disposition int

const (
	Mapped      Disposition = iota // a variable of vernegate says the same
	Builtin                        // vernegate always does it, or does not need it
	Overridden                     // a variable that was set beside the settings goes before it
	BrokerOnly                     // it belongs on the broker's plain listener
	Unsupported                    // vernegate cannot do it, or not as it was
)

// A Verdict is the disposition of one setting, and why.
type Verdict struct {
	Setting     vernemqconf.Setting
	Disposition Disposition
	Variable    string // that it moved to, or that goes before it
	Reason      string // a clause for people; "" of Mapped and Overridden
}

// A Translation is what settings come to.
type Translation struct {
	Variables []Variable
	Verdicts  []Verdict // of every setting judged, and of no other
	Mistakes  []error   // contradictions, each a line that says where
	Devices   *vernemqconf.Listener
	Services  *vernemqconf.Listener
}

// Translate judges settings.
func Translate(settings vernemqconf.Settings, o Options) Translation {
	t := translator{Options: o, settings: settings}
	t.listeners()
	t.files()
	t.protocolVersion()
	t.ciphers()
	t.connections()
	t.refresh()
	t.rest()
	return t.Translation
}

// Verdict returns the verdict of a setting, ok = false if it is none of those
// that are judged.
func (t Translation) Verdict(s vernemqconf.Setting) (v Verdict, ok bool) {
	for _, v := range t.Verdicts {
		if v.Setting == s {
			return v, true
		}
	}
	return Verdict{}, false
}

// translator is a translation on its way.
type translator struct {
	Options
	Translation
	settings vernemqconf.Settings
}

// entries are the listeners that vernegate takes the place of.
func (t *translator) entries() []vernemqconf.Listener {
	var entries []vernemqconf.Listener
	for _, l := range []*vernemqconf.Listener{t.Devices, t.Services} {
		if l != nil {
			entries = append(entries, *l)
		}
	}
	return entries
}

// set makes value what a variable is to be, unless it was chosen beside the
// settings. Without from there is nothing to be said.
func (t *translator) set(variable, value string, from ...vernemqconf.Setting) {
	if len(from) == 0 {
		return
	}
	verdict := Verdict{Disposition: Mapped, Variable: variable}
	switch {
	case !t.Has(variable):
		verdict = Verdict{Disposition: Unsupported, Reason: "this vernegate has no variable for it"}
	case t.Override(variable) != "":
		verdict.Disposition = Overridden
	default:
		t.Variables = append(t.Variables, Variable{variable, value, from})
	}
	for _, s := range from {
		verdict.Setting = s
		t.judge(verdict)
	}
}

// judge takes down a verdict. The first one about a setting stands.
func (t *translator) judge(v Verdict) {
	if _, ok := t.Verdict(v.Setting); !ok {
		t.Verdicts = append(t.Verdicts, v)
	}
}

// each gives settings the same verdict.
func (t *translator) each(settings []vernemqconf.Setting, d Disposition, reason string) {
	for _, s := range settings {
		t.judge(Verdict{Setting: s, Disposition: d, Reason: reason})
	}
}

// mistake reports a contradiction once, though it concerns several listeners.
func (t *translator) mistake(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	if !slices.ContainsFunc(t.Mistakes, func(earlier error) bool { return earlier.Error() == err.Error() }) {
		t.Mistakes = append(t.Mistakes, err)
	}
}

// expand replaces what a value refers to. What is not set is a mistake.
func (t *translator) expand(s vernemqconf.Setting) string {
	if t.Lookup == nil {
		return s.Value
	}
	value, unset := vernemqconf.Expand(s.Value, t.Lookup)
	if len(unset) > 0 {
		t.mistake("%v: %q refers to %s, which is not set", s, s.Value, strings.Join(unset, ", "))
	}
	return value
}
