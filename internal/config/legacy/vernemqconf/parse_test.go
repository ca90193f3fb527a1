// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package vernemqconf_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"a = b":                    "a=b",
		"a=b":                      "a=b",
		"\t a.b_c-d \t=\t b c \t":  "a.b_c-d=b c",
		"a = b # why":              "a=b",
		"a = b#c":                  "a=b",
		"a = 'b # c' # why":        "a=b # c",
		"a = ''":                   "a=",
		`http.a\.b = on`:           `http.a\.b=on`,
		"a = b\r":                  "a=b",
		"a = ###IPADDRESS###:1 #c": "a=###IPADDRESS###:1",
		"include conf.d/*.conf":    "include=conf.d/*.conf",
		"# a = b":                  "",
		"":                         "",
		" \t":                      "",
	} {
		settings, err := vernemqconf.Parse("f", []byte("\n"+line+"\n"))
		var got []string
		for _, s := range settings {
			got = append(got, s.Key+"="+s.Value)
			if s.Origin.String() != "f line 2" {
				t.Errorf("%q is said to be at %v", line, s.Origin)
			}
		}
		if err != nil || strings.Join(got, ";") != want {
			t.Errorf("Parse(%q) = %q, %v, want %q", line, got, err, want)
		}
	}
}

func TestParseNamesEveryWrongLineAndReadsOn(t *testing.T) {
	t.Parallel()
	text := "a = b\nnonsense\n= x\nb =\nc = 'open\nd = 'x' y\ne = '''\nf = \xff\ng = h"
	settings, err := vernemqconf.Parse("vernemq.conf", []byte(text))
	if len(settings) != 2 || settings[1].Key != "g" || settings[1].Origin.Line != 9 {
		t.Errorf("read %v", settings)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, number := range []string{"2", "3", "4", "5", "6", "7", "8"} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], "vernemq.conf line "+number+": ") {
			t.Fatalf("mistakes are %q", lines)
		}
	}
	if len(lines) != 7 {
		t.Errorf("%d mistakes, want 7: %q", len(lines), lines)
	}
	var syntax *vernemqconf.SyntaxError
	if !errors.As(err, &syntax) || syntax.Origin.Line != 2 {
		t.Errorf("the first mistake is %#v", syntax)
	}
	if strings.Contains(err.Error(), "nonsense") {
		t.Error("a line is quoted that may hold a secret")
	}
}

func TestLastSettingCounts(t *testing.T) {
	t.Parallel()
	settings, err := vernemqconf.Parse("f", []byte("a = 1\nb = 1\na = 2\n"))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := settings.Get("a"); !ok || s.Value != "2" {
		t.Errorf("a is %v, %v", s.Value, ok)
	}
	if got := settings.Counting(); len(got) != 2 || got[0].Key != "b" || got[1].Value != "2" {
		t.Errorf("counting are %v", got)
	}
	if void := settings.Overridden(); len(void) != 1 || void[0][0].Origin.Line != 1 || void[0][1].Origin.Line != 3 {
		t.Errorf("overridden are %v", void)
	}
}

// TestImagesRules holds the conversion of variables to what the images' shell
// pipeline makes of them: the same names, also where they are odd.
func TestImagesRules(t *testing.T) {
	t.Parallel()
	settings, others, err := vernemqconf.FromEnviron(map[string]string{
		"DOCKER_VERNEMQ_ALLOW_ANONYMOUS":                     "on",
		"DOCKER_VERNEMQ_LISTENER__SSL__DEFAULT":              "0.0.0.0:8883",
		"DOCKER_VERNEMQ_LISTENER__SSL__myName":               "0.0.0.0:8884", // only the capitals in front
		"DOCKER_VERNEMQ_VMQ_ACL__ACL_FILE":                   "/etc/a__b",    // the value, too
		"DOCKER_VERNEMQ_LOG__CONSOLE":                        "console\nsecond line",
		"DOCKER_VERNEMQ_DISCOVERY_NODE":                      "vernemq-0",
		"DOCKER_VERNEMQ_KUBERNETES_LABEL_SELECTOR":           "app=vernemq",
		"DOCKER_VERNEMQ_USER_BOB":                            "secret",
		"DOCKER_VERNEMQ_MAX_INFLIGHT_MESSAGES":               "20",
		"DOCKER_VERNEMQ_LISTENER__SSL__DEFAULT__KEYFILE":     "/COMPOSE/key", // dropped for its value
		"NOT_DOCKER_VERNEMQ_ALLOW_ANONYMOUS":                 "on",
		"DOCKER_VERNEMQ_LISTENER__SSL__DEFAULT__MOUNTPOINT":  "",
		"DOCKER_VERNEMQ_listener.ssl.default.max connection": "5",
	})
	var got []string
	for _, s := range settings {
		got = append(got, s.Key+"="+s.Value+" "+s.Origin.String())
	}
	want := []string{
		"allow_anonymous=on DOCKER_VERNEMQ_ALLOW_ANONYMOUS",
		"listener.ssl.default=0.0.0.0:8883 DOCKER_VERNEMQ_LISTENER__SSL__DEFAULT",
		"listener.ssl.myName=0.0.0.0:8884 DOCKER_VERNEMQ_LISTENER__SSL__myName",
		"log.console=console DOCKER_VERNEMQ_LOG__CONSOLE",
		"max_inflight_messages=20 DOCKER_VERNEMQ_MAX_INFLIGHT_MESSAGES",
		"vmq_acl.acl_file=/etc/a.b DOCKER_VERNEMQ_VMQ_ACL__ACL_FILE",
	}
	if !slices.Equal(got, want) {
		t.Errorf("settings are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantOthers := []string{
		"DOCKER_VERNEMQ_DISCOVERY_NODE", "DOCKER_VERNEMQ_KUBERNETES_LABEL_SELECTOR",
		"DOCKER_VERNEMQ_LISTENER__SSL__DEFAULT__KEYFILE", "DOCKER_VERNEMQ_USER_BOB",
	}
	if !slices.Equal(others, wantOthers) {
		t.Errorf("others are %q, want %q", others, wantOthers)
	}
	if err == nil || strings.Count(err.Error(), "\n") != 1 || !strings.Contains(err.Error(), "MOUNTPOINT: ") || !strings.Contains(err.Error(), "max connection: ") {
		t.Errorf("mistakes are %v", err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"YSA9IGI=", "YSA9IGI", " YSA9\nIGI=\n", "YSA9 IGI=", "WVNBOUlHST0=", "WVNB\nOUlHST0K", "V1ZOQk9VbEhTVDA9"} {
		if got, err := vernemqconf.Decode(text); err != nil || string(got) != "a = b" {
			t.Errorf("Decode(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"a = b", "YSA9*IGI=", "Y", "YSA=9IGI"} {
		if got, err := vernemqconf.Decode(text); err == nil {
			t.Errorf("Decode(%q) = %q", text, got)
		}
	}
	if !vernemqconf.LooksEncoded([]byte("YSA9IGI=\n")) {
		t.Error("base64 does not look like it")
	}
	for _, text := range []string{"a=b", "allow_anonymous = on\n", "# comment\n", ""} {
		if vernemqconf.LooksEncoded([]byte(text)) {
			t.Errorf("%q looks like base64", text)
		}
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	lookup := func(name string) (string, bool) {
		value, ok := map[string]string{"HOSTNAME": "vernemq-0", "EMPTY": ""}[name]
		return value, ok
	}
	for value, want := range map[string]string{
		"/cert/$HOSTNAME.crt":    "/cert/vernemq-0.crt",
		"/cert/${HOSTNAME}x.crt": "/cert/vernemq-0x.crt",
		"a$EMPTY":                "a",
		"$(</run/secret) $1 $":   "$(</run/secret) $1 $",
	} {
		if got, unset := vernemqconf.Expand(value, lookup); got != want || unset != nil {
			t.Errorf("Expand(%q) = %q, %q, want %q", value, got, unset, want)
		}
	}
	got, unset := vernemqconf.Expand("$MY_POD_IP:8883", lookup)
	if got != "$MY_POD_IP:8883" || !slices.Equal(unset, []string{"MY_POD_IP"}) {
		t.Errorf("what is not set becomes %q, %q", got, unset)
	}
}

func TestKeysOfReleases(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"allow_anonymous", "listener.tcp.any.proxy_protocol", "plugins.vmq_acl", "vmq_acl.acl_file", "nodename",
		"leveldb.maximum_memory.percent", "erlang.max_ports", "listener.vmq.clustering", "listener.http.default",
	} {
		if !vernemqconf.IsKey(vernemqconf.Stock, key) {
			t.Errorf("%s is no key of %s", key, vernemqconf.Stock)
		}
	}
	if !vernemqconf.IsKey(vernemqconf.Stock, `listener.http.a\.b.config_mod`) {
		t.Error("an escaped dot ends a word")
	}
	for _, key := range []string{"ssl_trusted_cert_refresh_interval", "listener.tcp.any.cafile", "listener.tcp..proxy_protocol", "", "listener", "include"} {
		if vernemqconf.IsKey(vernemqconf.Stock, key) {
			t.Errorf("%q is a key of %s", key, vernemqconf.Stock)
		}
	}
	if !vernemqconf.IsKey(vernemqconf.Patched, "message_size_limit") || vernemqconf.IsKey(vernemqconf.Stock, "message_size_limit") {
		t.Errorf("message_size_limit went between %s and %s", vernemqconf.Patched, vernemqconf.Stock)
	}
}

func TestKnownKeysAreThoseOfAnyVerneMQ(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]bool{
		"message_size_limit":                true, // of the patched release alone
		"listener.ssl.default.eccs":         true, // of the stock one alone
		"ssl_trusted_cert_refresh_interval": true, // of the patches
		"accept_eula":                       true, // of the packages
		"accept_eulas":                      false,
		"listener.ssl.default.cafil":        false,
	} {
		if got := vernemqconf.IsKnown(key); got != want {
			t.Errorf("IsKnown(%q) = %v", key, got)
		}
	}
}

func TestListeners(t *testing.T) {
	t.Parallel()
	settings, err := vernemqconf.Parse("f", []byte(`
listener.max_connections = 1
listener.ssl.cafile = /all.crt
listener.ssl.max_connections = 2
listener.ssl.b = 0.0.0.0:2
listener.ssl.a = 0.0.0.0:1
listener.ssl.a.cafile = /a.crt
listener.ssl.gone.cafile = /gone.crt
listener.tcp.c = 0.0.0.0:3
`))
	if err != nil {
		t.Fatal(err)
	}
	listeners := settings.Listeners("ssl")
	if len(listeners) != 2 || listeners[0].Key() != "listener.ssl.b" || listeners[1].Key() != "listener.ssl.a" {
		t.Fatalf("listeners are %v", listeners)
	}
	for i, want := range [][2]string{{"/all.crt", "2"}, {"/a.crt", "2"}} {
		ca, _ := listeners[i].Option("cafile")
		limit, _ := listeners[i].Option("max_connections")
		if ca.Value != want[0] || limit.Value != want[1] {
			t.Errorf("%s has %q and %q, want %q", listeners[i].Name, ca.Value, limit.Value, want)
		}
	}
	if s, ok := settings.Listeners("tcp")[0].Option("max_connections"); !ok || s.Value != "1" {
		t.Errorf("listener.tcp.c has %q connections, want those of all listeners", s.Value)
	}
}
