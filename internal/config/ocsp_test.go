// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
	"time"
)

func TestOCSPIsOffUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	c, err := Load(nil)
	if err != nil || c.OCSP || c.OCSPNonce || c.OCSPURL.URL != nil || time.Duration(c.OCSPTimeout) != time.Second || c.OCSPIssuers.Names() != nil {
		t.Errorf("got %+v, %v", c.OCSPURL, err)
	}
}

// The responder that the operator names may be called whatever VERNEGATE_CRL_HOSTS says.
func TestTheConfiguredResponderMayBeCalled(t *testing.T) {
	t.Parallel()
	c, err := Load([]string{"VERNEGATE_OCSP=on", "VERNEGATE_OCSP_URL=http://ocsp.example.org:8080/devices"})
	if err != nil || !c.OCSPHosts().Allows(c.OCSPURL.URL) {
		t.Errorf("got %v and %v", c.OCSPHosts().Names(), err)
	}
}

func TestMistakesAboutOCSP(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ env, want []string }{
		"neither on nor off": {[]string{"VERNEGATE_OCSP=yes"}, []string{`VERNEGATE_OCSP="yes": expected on or off`}},
		"nobody to ask":      {[]string{"VERNEGATE_OCSP=on"}, []string{`VERNEGATE_OCSP="on": expected VERNEGATE_OCSP_URL, or VERNEGATE_CRL_HOSTS`}},
		"no URL":             {[]string{"VERNEGATE_OCSP=on", "VERNEGATE_OCSP_URL=ocsp.example.org"}, []string{"VERNEGATE_OCSP_URL=\"ocsp.example.org\": expected an http or https URL"}},
		"all of them": {
			[]string{"VERNEGATE_OCSP=on", "VERNEGATE_OCSP_URL=ldap://a", "VERNEGATE_OCSP_ON_ERROR=maybe", "VERNEGATE_OCSP_TIMEOUT=0", "VERNEGATE_OCSP_NONCE=maybe", "VERNEGATE_OCSP_REFRESH=-1s", "VERNEGATE_OCSP_CACHE_SIZE=0", "VERNEGATE_OCSP_ISSUERS=a;;b"},
			[]string{"VERNEGATE_OCSP_URL", "VERNEGATE_OCSP_ON_ERROR", "VERNEGATE_OCSP_TIMEOUT", "VERNEGATE_OCSP_NONCE", "VERNEGATE_OCSP_REFRESH", "VERNEGATE_OCSP_CACHE_SIZE", "VERNEGATE_OCSP_ISSUERS"},
		},
	} {
		_, err := Load(test.env)
		if err == nil {
			t.Errorf("%s: there is no mistake", name)
			continue
		}
		if n := strings.Count(err.Error(), "\n") + 1; n != len(test.want) {
			t.Errorf("%s: %d lines, want %d:\n%v", name, n, len(test.want), err)
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q is not in\n%v", name, part, err)
			}
		}
	}
}
