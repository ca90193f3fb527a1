// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy

import (
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

const noPSK = "devices with pre-shared keys instead of certificates are refused"

// optionVerdicts are about options of TLS listeners, by the last word of their
// key, that vernegate has no variable for.
var optionVerdicts = map[string]Verdict{
	"depth":                 {Fate: Lost, Reason: "chains may be as long as the CA bundle allows"},
	"keypasswd":             {Fate: Lost, Reason: "keys are read as they are, and not decrypted"},
	"eccs":                  {Fate: Lost, Reason: "key exchanges are chosen with VERNEGATE_TLS_CURVES"},
	"psk_support":           {Fate: Lost, Reason: noPSK},
	"psk_identity_hint":     {Fate: Lost, Reason: noPSK},
	"pskfile":               {Fate: Lost, Reason: noPSK},
	"pskfile_separator":     {Fate: Lost, Reason: noPSK},
	"tls_handshake_timeout": {Fate: Lost, Reason: "the time for a handshake is VERNEGATE_HANDSHAKE_TIMEOUT"},
}

// tlsPrefix begins the keys of TLS listeners.
const tlsPrefix = "listener.ssl."

// rest judges what is left of the TLS listeners.
func (t *translator) rest() {
	for _, s := range t.settings.Counting() {
		if words, ok := strings.CutPrefix(s.Key, tlsPrefix); ok {
			t.judgeOption(s, strings.Split(words, "."))
		}
	}
}

// judgeOption judges one setting of TLS listeners; words follow the prefix in
// its key: an option, or a listener and its option.
func (t *translator) judgeOption(s vernemqconf.Setting, words []string) {
	option := words[len(words)-1]
	v, ok := optionVerdicts[option]
	switch {
	case len(words) > 1 && !slices.ContainsFunc(t.entries(), func(l vernemqconf.Listener) bool { return l.Name == words[0] }):
		v = Verdict{Fate: Lost, Reason: "no listener of vernegate comes from listener.ssl." + words[0]}
	case !ok && IsPlainOption(option):
		v = Verdict{Fate: Broker, Reason: "the broker's plain listener has this option"}
	case !ok:
		v = Verdict{Fate: Lost, Reason: "no listener of vernegate has this option"}
	}
	v.Setting = s
	t.judge(v)
}

// IsPlainOption tells whether a plain listener of stock VerneMQ has an option.
func IsPlainOption(option string) bool {
	return vernemqconf.IsKey(vernemqconf.Stock, "listener.tcp.any."+option)
}
