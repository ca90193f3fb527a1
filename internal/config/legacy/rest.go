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
	"depth":                 {Disposition: Unsupported, Reason: "chains may be as long as the CA bundle allows"},
	"keypasswd":             {Disposition: Unsupported, Reason: "keys are read as they are, and not decrypted"},
	"eccs":                  {Disposition: Unsupported, Reason: "key exchanges are chosen with VERNEGATE_TLS_CURVES"},
	"psk_support":           {Disposition: Unsupported, Reason: noPSK},
	"psk_identity_hint":     {Disposition: Unsupported, Reason: noPSK},
	"pskfile":               {Disposition: Unsupported, Reason: noPSK},
	"pskfile_separator":     {Disposition: Unsupported, Reason: noPSK},
	"tls_handshake_timeout": {Disposition: Unsupported, Reason: "the time for a handshake is VERNEGATE_HANDSHAKE_TIMEOUT"},
}

// tlsPrefix begins the keys of TLS listeners.
const tlsPrefix = "listener.ssl."

// rest judges what is left of the TLS listeners, but for keys of no VerneMQ: they
// are probably misspelt, and then it is not known what they are about.
func (t *translator) rest() {
	for _, s := range t.settings.Counting() {
		if words, ok := strings.CutPrefix(s.Key, tlsPrefix); ok && vernemqconf.IsKnown(s.Key) {
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
		v = Verdict{Disposition: Unsupported, Reason: "no listener of vernegate comes from listener.ssl." + words[0]}
	case !ok && IsPlainOption(option):
		v = Verdict{Disposition: BrokerOnly, Reason: "the broker's plain listener has this option"}
	case !ok:
		v = Verdict{Disposition: Unsupported, Reason: "no listener of vernegate has this option"}
	}
	v.Setting = s
	t.judge(v)
}

// IsPlainOption reports whether a plain listener of stock VerneMQ has an option.
func IsPlainOption(option string) bool {
	return vernemqconf.IsKey(vernemqconf.Stock, "listener.tcp.any."+option)
}
