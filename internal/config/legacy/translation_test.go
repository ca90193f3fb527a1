// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package legacy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config/legacy"
	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// translate translates a vernemq.conf with every variable there, but for those
// that are lacking, and those chosen, as NAME=value.
func translate(t *testing.T, conf string, adjust ...func(*legacy.Options)) legacy.Translation {
	t.Helper()
	settings, err := vernemqconf.Parse("conf", []byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	o := legacy.Options{
		Has:      func(string) bool { return true },
		Override: func(string) string { return "" },
		Cipher: func(name string) error {
			if strings.HasPrefix(name, "ECDHE-RSA-AES128-GCM") {
				return nil
			}
			return errors.New("unknown")
		},
		Lookup: func(name string) (string, bool) { return "10.0.0.7", name == "MY_POD_IP" },
	}
	for _, a := range adjust {
		a(&o)
	}
	return legacy.Translate(settings, o)
}

func chosen(variable, value string) func(*legacy.Options) {
	return func(o *legacy.Options) {
		o.Override = func(name string) string {
			if name == variable {
				return value
			}
			return ""
		}
	}
}

// both are two listeners that do not contradict each other.
const both = `listener.ssl.default = 0.0.0.0:8883
listener.ssl.internal = 0.0.0.0:9883
`

func TestVariables(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ conf, want string }{
		"nothing":                  {"allow_anonymous = on", ""},
		"listeners by their names": {both, "VERNEGATE_LISTEN=0.0.0.0:8883 VERNEGATE_SERVICE_LISTEN=0.0.0.0:9883"},
		"listeners by identity": {
			"listener.ssl.a = 0.0.0.0:1\nlistener.ssl.b = 0.0.0.0:2\nlistener.ssl.b.use_identity_as_username = on",
			"VERNEGATE_SERVICE_LISTEN=0.0.0.0:1 VERNEGATE_LISTEN=0.0.0.0:2",
		},
		"identity of all":     {"listener.ssl.use_identity_as_username = on\nlistener.ssl.a = 0.0.0.0:1", "VERNEGATE_LISTEN=0.0.0.0:1"},
		"an IPv6 address":     {"listener.ssl.default = ::1:8883", "VERNEGATE_LISTEN=[::1]:8883"},
		"the pod's address":   {"listener.ssl.default = $MY_POD_IP:8883", "VERNEGATE_LISTEN=10.0.0.7:8883"},
		"the container's":     {"listener.ssl.default = ###IPADDRESS###:8883", "VERNEGATE_LISTEN=:8883"},
		"the last one counts": {"listener.ssl.default = 0.0.0.0:1\nlistener.ssl.default = 0.0.0.0:2", "VERNEGATE_LISTEN=0.0.0.0:2"},
		"files": {
			both + "listener.ssl.cafile = /ca\nlistener.ssl.default.certfile = /c\nlistener.ssl.internal.certfile = /c\nlistener.ssl.default.keyfile = /k\nlistener.ssl.internal.crlfile = /r",
			"VERNEGATE_LISTEN=0.0.0.0:8883 VERNEGATE_SERVICE_LISTEN=0.0.0.0:9883 VERNEGATE_TLS_CERT=/c VERNEGATE_TLS_KEY=/k VERNEGATE_TLS_CA=/ca VERNEGATE_TLS_CRL=/r",
		},
		"files of no listener":       {"listener.ssl.gone.cafile = /ca", ""},
		"TLS 1.3 alone":              {"listener.ssl.default = a:1\nlistener.ssl.tls_version = tlsv1.3", "VERNEGATE_LISTEN=a:1 VERNEGATE_TLS_MIN_VERSION=1.3"},
		"TLS 1.2 and 1.3":            {"listener.ssl.default = a:1\nlistener.ssl.tls_version = tlsv1.3,tlsv1.2", "VERNEGATE_LISTEN=a:1 VERNEGATE_TLS_MIN_VERSION=1.2"},
		"TLS 1.0":                    {"listener.ssl.default = a:1\nlistener.ssl.tls_version = tlsv1", "VERNEGATE_LISTEN=a:1 VERNEGATE_TLS_MIN_VERSION=1.2"},
		"ciphers":                    {"listener.ssl.default = a:1\nlistener.ssl.ciphers = DHE-RSA-AES128-SHA:ECDHE-RSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256", "VERNEGATE_LISTEN=a:1 VERNEGATE_TLS_CIPHERS=ECDHE-RSA-AES128-GCM-SHA256"},
		"ciphers of TLS 1.3":         {"listener.ssl.default = a:1\nlistener.ssl.ciphers = TLS_AES_128_GCM_SHA256", "VERNEGATE_LISTEN=a:1"},
		"ciphers beside TLS 1.3":     {"listener.ssl.default = a:1\nlistener.ssl.tls_version = tlsv1.3\nlistener.ssl.ciphers = ECDHE-RSA-AES128-GCM-SHA256", "VERNEGATE_LISTEN=a:1 VERNEGATE_TLS_MIN_VERSION=1.3"},
		"connections of both":        {both + "listener.max_connections = 7\nlistener.ssl.internal.max_connections = 3", "VERNEGATE_LISTEN=0.0.0.0:8883 VERNEGATE_SERVICE_LISTEN=0.0.0.0:9883 VERNEGATE_MAX_CONNECTIONS=10"},
		"connections of one":         {both + "listener.ssl.internal.max_connections = 3", "VERNEGATE_LISTEN=0.0.0.0:8883 VERNEGATE_SERVICE_LISTEN=0.0.0.0:9883"},
		"connections without limit":  {both + "listener.max_connections = infinity", "VERNEGATE_LISTEN=0.0.0.0:8883 VERNEGATE_SERVICE_LISTEN=0.0.0.0:9883"},
		"refreshing":                 {"ssl_trusted_cert_refresh_interval = 300000", "VERNEGATE_TRUST_REFRESH_INTERVAL=5m0s"},
		"refreshing never":           {"ssl_trusted_cert_refresh_interval = 0", "VERNEGATE_TRUST_REFRESH_INTERVAL=0s"},
		"the shorter refreshing":     {"ssl_trusted_cert_refresh_interval = 300000\ncrl_refresh_interval = 1500", "VERNEGATE_TRUST_REFRESH_INTERVAL=1.5s"},
		"one is refreshed, one not":  {"ssl_trusted_cert_refresh_interval = 0\ncrl_refresh_interval = 60000", "VERNEGATE_TRUST_REFRESH_INTERVAL=1m0s"},
		"what is the broker's alone": {"listener.tcp.default = 0.0.0.0:1883\nlistener.wss.default = 0.0.0.0:8084", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			translation := translate(t, c.conf)
			var got []string
			for _, v := range translation.Variables {
				got = append(got, v.Name+"="+v.Value)
				if len(v.From) == 0 {
					t.Errorf("%s comes from nowhere", v.Name)
				}
			}
			if strings.Join(got, " ") != c.want || len(translation.Mistakes) > 0 {
				t.Errorf("got %q, %v, want %q", got, translation.Mistakes, c.want)
			}
		})
	}
}

// TestVerdicts has, for each disposition, settings that meet it and a part of the reason.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const listener = "listener.ssl.default = a:1\n"
	for line, want := range map[string]struct {
		disposition legacy.Disposition
		reason      string
	}{
		"listener.ssl.default.cafile = /ca":                          {legacy.Mapped, ""},
		"crl_refresh_interval = 1":                                   {legacy.Mapped, ""},
		"listener.ssl.default.require_certificate = on":              {legacy.Builtin, "always demands"},
		"listener.ssl.default.use_identity_as_username = on":         {legacy.Builtin, "owner"},
		"listener.ssl.default.max_connections = infinity":            {legacy.Builtin, "no limit"},
		"listener.ssl.default.require_certificate = off":             {legacy.Unsupported, "without one are refused"},
		"listener.ssl.default.tls_version = tlsv1.1":                 {legacy.Unsupported, "no more than tlsv1.1"},
		"listener.ssl.default.ciphers = ECDHE-RSA-AES128-GCM:DHE-X":  {legacy.Unsupported, "without DHE-X: devices that know finite-field"},
		"listener.ssl.default.ciphers = ECDHE-RSA-AES128-GCM:ODD":    {legacy.Unsupported, "devices that know no other"},
		"listener.ssl.default.depth = 3":                             {legacy.Unsupported, "as long as"},
		"listener.ssl.default.psk_support = on":                      {legacy.Unsupported, "pre-shared"},
		"listener.ssl.cafile = /b\nlistener.ssl.default.cafile = /a": {legacy.Unsupported, "no listener of vernegate has this option"},
		"listener.ssl.gone.cafile = /ca":                             {legacy.Unsupported, "no listener of vernegate comes from listener.ssl.gone"},
		"listener.ssl.default.mountpoint = m":                        {legacy.BrokerOnly, "plain listener"},
		"listener.ssl.allowed_protocol_versions = 3,4":               {legacy.BrokerOnly, "plain listener"},
	} {
		got := translate(t, listener+line)
		s, _, _ := strings.Cut(line, " =")
		i := slices.IndexFunc(got.Verdicts, func(v legacy.Verdict) bool { return v.Setting.Key == s })
		if i < 0 {
			t.Errorf("%s: no verdict", line)
			continue
		}
		if v := got.Verdicts[i]; v.Disposition != want.disposition || !strings.Contains(v.Reason, want.reason) {
			t.Errorf("%s: %v, %q, want %v, %q", line, v.Disposition, v.Reason, want.disposition, want.reason)
		}
	}
}

func TestEveryKnownSettingOfTLSListenersIsJudgedOnce(t *testing.T) {
	t.Parallel()
	got := translate(t, both+`listener.ssl.third.cafile = /x
listener.ssl.cafile = /ca
listener.ssl.default.depth = 1
listener.ssl.default.anything = 1
listener.ssl.nr_of_acceptors = 3
listener.tcp.default = 0.0.0.0:1883
`)
	var keys []string
	for _, v := range got.Verdicts {
		keys = append(keys, v.Setting.Key)
	}
	slices.Sort(keys)
	want := []string{
		"listener.ssl.cafile", "listener.ssl.default", "listener.ssl.default.depth",
		"listener.ssl.internal", "listener.ssl.nr_of_acceptors", "listener.ssl.third.cafile",
	}
	if !slices.Equal(keys, want) {
		t.Errorf("judged are %q, want %q", keys, want)
	}
}

func TestContradictionsAreMistakesUnlessSomebodyChose(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ conf, variable, value string }{
		{"listener.ssl.default.cafile = /a\nlistener.ssl.internal.cafile = /b", "VERNEGATE_TLS_CA", "/c"},
		{"listener.ssl.default.certfile = /a\nlistener.ssl.internal.certfile = /b", "VERNEGATE_TLS_CERT", "/c"},
		{"listener.ssl.cafile = /a\nlistener.ssl.internal.cafile = /b", "VERNEGATE_TLS_CA", "/c"},
		{"listener.ssl.default.tls_version = tlsv1.2\nlistener.ssl.internal.tls_version = tlsv1.3", "VERNEGATE_TLS_MIN_VERSION", "1.3"},
		{"listener.ssl.third = 0.0.0.0:7883", "VERNEGATE_SERVICE_LISTEN", ":9883"},
		{"listener.ssl.ciphers = NONE:OTHER", "VERNEGATE_TLS_CIPHERS", "ECDHE-RSA-AES128-GCM-SHA256"},
	} {
		conf := both + c.conf
		got := translate(t, conf)
		if len(got.Mistakes) != 1 {
			t.Errorf("%s: mistakes are %v", c.conf, got.Mistakes)
			continue
		}
		if text := got.Mistakes[0].Error(); !strings.Contains(text, "conf line ") || !strings.Contains(text, c.variable) {
			t.Errorf("%s: the mistake does not say where, or what to set: %s", c.conf, text)
		}
		got = translate(t, conf, chosen(c.variable, c.value))
		if len(got.Mistakes) > 0 {
			t.Errorf("%s with %s chosen: mistakes are %v", c.conf, c.variable, got.Mistakes)
		}
		if slices.ContainsFunc(got.Variables, func(v legacy.Variable) bool { return v.Name == c.variable }) {
			t.Errorf("%s: %s is set although it was chosen", c.conf, c.variable)
		}
	}
}

func TestWrongValuesAreMistakes(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"listener.ssl.tls_version = sslv3", "listener.ssl.max_connections = many", "listener.ssl.max_connections = 0",
		"crl_refresh_interval = soon", "crl_refresh_interval = -1", "listener.ssl.cafile = $NOWHERE/ca.crt",
	} {
		got := translate(t, both+line)
		if len(got.Mistakes) != 1 || !strings.Contains(got.Mistakes[0].Error(), "conf line 3") {
			t.Errorf("%s: mistakes are %v", line, got.Mistakes)
		}
	}
}

func TestVariablesThatThereAreNotAreLost(t *testing.T) {
	t.Parallel()
	got := translate(t, both+"listener.max_connections = 5", func(o *legacy.Options) {
		o.Has = func(variable string) bool { return variable != "VERNEGATE_MAX_CONNECTIONS" }
	})
	limit := got.Verdicts[slices.IndexFunc(got.Verdicts, func(v legacy.Verdict) bool { return v.Setting.Key == "listener.max_connections" })]
	if limit.Disposition != legacy.Unsupported || slices.ContainsFunc(got.Variables, func(v legacy.Variable) bool { return v.Name == "VERNEGATE_MAX_CONNECTIONS" }) {
		t.Errorf("the limit has disposition %v, variables are %v", limit.Disposition, got.Variables)
	}
}

func TestWithoutLookupReferencesStay(t *testing.T) {
	t.Parallel()
	got := translate(t, "listener.ssl.default = $MY_POD_IP:8883\nlistener.ssl.default.certfile = /cert/$HOSTNAME.crt",
		func(o *legacy.Options) { o.Lookup = nil })
	if len(got.Variables) != 2 || got.Variables[0].Value != ":8883" || got.Variables[1].Value != "/cert/$HOSTNAME.crt" || len(got.Mistakes) > 0 {
		t.Errorf("got %v, %v", got.Variables, got.Mistakes)
	}
}
