// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

func TestIdentityIsCertificateACLUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	c, err := Load(nil)
	if err != nil || c.Identity.String() != "certificate-acl" || !c.Identity.Has(CertificateACL) || c.Services.Func() != nil {
		t.Errorf("got %v, a pattern for services: %v, and %v", c.Identity, c.Services.Func() != nil, err)
	}
}

func TestIdentitySourcesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	c, err := Load([]string{"VERNEGATE_IDENTITY=subject, certificate-acl", "VERNEGATE_IDENTITY_TEMPLATE={o}:{cn}"})
	if err != nil || c.Identity.String() != "subject,certificate-acl" {
		t.Errorf("got %v and %v", c.Identity, err)
	}
}

// Every mistake about sources is told at once, at its variable.
func TestMistakesAboutIdentity(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  []string
		want []string // parts of the lines, one each
	}{
		"no such source":       {[]string{"VERNEGATE_IDENTITY=ldap"}, []string{`VERNEGATE_IDENTITY="ldap": "ldap" is no source: expected certificate-acl`}},
		"twice":                {[]string{"VERNEGATE_IDENTITY=certificate-acl,certificate-acl"}, []string{`"certificate-acl" comes twice`}},
		"blank":                {[]string{"VERNEGATE_IDENTITY=certificate-acl,"}, []string{"a list element is blank"}},
		"no template":          {[]string{"VERNEGATE_IDENTITY=subject"}, []string{`VERNEGATE_IDENTITY_TEMPLATE="": expected a template`}},
		"a template too many":  {[]string{"VERNEGATE_IDENTITY_TEMPLATE={cn}"}, []string{"VERNEGATE_IDENTITY lacks subject"}},
		"a pattern too many":   {[]string{"VERNEGATE_IDENTITY_PATTERN=cn=.*"}, []string{`VERNEGATE_IDENTITY_PATTERN="cn=.*": has no effect`}},
		"no file":              {[]string{"VERNEGATE_IDENTITY=file"}, []string{`VERNEGATE_IDENTITY_FILE="": expected a file of owners`}},
		"a file too many":      {[]string{"VERNEGATE_IDENTITY_FILE=owners.map"}, []string{"VERNEGATE_IDENTITY lacks file"}},
		"unknown field":        {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={tenant}:{cn}"}, []string{`VERNEGATE_IDENTITY_TEMPLATE="{tenant}:{cn}": {tenant} is no capture of a pattern, and no field: expected one of cn, o, ou, serial, fingerprint, san.uri, san.dns, san.email`}},
		"open brace":           {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={cn"}, []string{"a { begins no name in braces"}},
		"pattern that is none": {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={x}", "VERNEGATE_IDENTITY_PATTERN=cn=(?<x>"}, []string{"the pattern of cn does not compile"}},
		"both are wrong": {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={cnn}:{x}", "VERNEGATE_IDENTITY_PATTERN=cn=(?<x>"},
			[]string{"the pattern of cn does not compile", `VERNEGATE_IDENTITY_TEMPLATE="{cnn}:{x}": {cnn} is no capture`}},
		"two patterns, both wrong": {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={cn}", "VERNEGATE_IDENTITY_PATTERN=dn=x\no=["},
			[]string{"expected FIELD=REGEXP with one of cn, o,"}},
		"services":      {[]string{"VERNEGATE_SERVICES=a)|(b"}, []string{`VERNEGATE_SERVICES="a)|(b": error parsing regexp`}},
		"all of them":   {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_PATTERN=o=(", "VERNEGATE_SERVICES=["}, []string{"VERNEGATE_IDENTITY_TEMPLATE", "VERNEGATE_IDENTITY_PATTERN", "VERNEGATE_SERVICES"}},
		"capture twice": {[]string{"VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={x}", "VERNEGATE_IDENTITY_PATTERN=cn=(?<x>.)\no=(?<x>.)"}, []string{"two captures are called x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(test.env)
			if err == nil {
				t.Fatal("there is no mistake")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Errorf("%d lines, want %d:\n%v", len(lines), len(test.want), err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("got\n%v\nwithout %s", err, part)
				}
			}
		})
	}
}

func TestServicesMatchTheWholeOwner(t *testing.T) {
	t.Parallel()
	c, err := Load([]string{"VERNEGATE_SERVICES=svc-.+|hub"})
	if err != nil {
		t.Fatal(err)
	}
	service := c.Services.Func()
	for owner, want := range map[string]bool{"svc-a": true, "hub": true, "hub2": false, "the hub": false, "acme:svc-a": false, "svc-": false, "svc-a:b": true} {
		if got := service(owner); got != want {
			t.Errorf("%s is a service: %v, want %v", owner, got, want)
		}
	}
}
