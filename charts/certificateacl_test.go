// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCertificateACLIsAskedWhereTheValuesSay(t *testing.T) {
	t.Parallel()
	const url = "http://certificate-acl:3000/internal/api/v1/acl-entries/"
	for name, c := range map[string]struct {
		values, url, timeout string // of vernegate
	}{
		"by default":  {"", url, "1000"},
		"by values":   {"certificateAcl: {url: 'https://acl.example/x/', timeoutMs: 2500}", "https://acl.example/x/", "2500"},
		"by env":      {"env: {CERTIFICATE_ACL_URL: 'http://other/', CERTIFICATE_ACL_REQ_TIMEOUT_MS: 7}", "http://other/", "7"},
		"by extraEnv": {"extraEnv: [{name: CERTIFICATE_ACL_URL, value: 'http://third/'}]", "http://third/", "1000"},
	} {
		for _, least := range []string{leastSidecar, leastGateway} {
			o := render(t, least, c.values)
			o.wantVariables(map[string]string{"CERTIFICATE_ACL_URL": c.url, "CERTIFICATE_ACL_REQ_TIMEOUT_MS": c.timeout})
			names := 0
			for _, v := range o.container("vernegate").Env {
				if v.Name == "CERTIFICATE_ACL_URL" {
					names++
				}
			}
			if names != 1 {
				t.Errorf("%s: the URL is set %d times", name, names)
			}
			if !strings.Contains(o.notes, c.url) {
				t.Errorf("%s: the notes do not name %s:\n%s", name, c.url, o.notes)
			}
		}
	}
}

func TestCertificateACLMayBeNamedTwiceAlike(t *testing.T) {
	t.Parallel()
	for _, values := range []string{
		"certificateAcl: {url: 'http://a/', timeoutMs: 500}\nenv: {CERTIFICATE_ACL_URL: 'http://a/', CERTIFICATE_ACL_REQ_TIMEOUT_MS: '500'}",
		"certificateAcl: {url: 'http://a/'}\nextraEnv: [{name: CERTIFICATE_ACL_URL, valueFrom: {configMapKeyRef: {name: c, key: k}}}]",
		"certificateAcl: {ca: {secret: s}}\nenv: {CERTIFICATE_ACL_URL: 'https://a/'}",
		"certificateAcl: {ca: {secret: s}}\nextraEnv: [{name: CERTIFICATE_ACL_URL, valueFrom: {configMapKeyRef: {name: c, key: k}}}]",
		"certificateAcl: {url: 'https://a/'}\nenv: {VERNEGATE_ACL_CERT: /a.crt, VERNEGATE_ACL_KEY: /a.key}",
	} {
		if _, err := tryRender(t, leastGateway, values); err != nil {
			t.Errorf("%s: %v", values, err)
		}
	}
}

func TestNotesNameCertificateACLWhereItIsAsked(t *testing.T) {
	t.Parallel()
	const asked, slash = "Owners of certificates are asked for at ", "does not end in a slash"
	for values, want := range map[string][2]bool{ // asked, slash
		"":                                {true, false},
		"env: {VERNEGATE_IDENTITY: file}": {false, false},
		"env: {VERNEGATE_IDENTITY: subject}\ncertificateAcl: {url: 'http://a/b'}":         {false, false},
		"env: {VERNEGATE_IDENTITY: 'file, certificate-acl'}":                              {true, false},
		"extraEnv: [{name: VERNEGATE_IDENTITY, value: subject}]":                          {false, false},
		"extraEnv: [{name: CERTIFICATE_ACL_URL, valueFrom: {configMapKeyRef: {key: k}}}]": {false, false},
		"certificateAcl: {url: 'http://a/b'}":                                             {true, true},
		"env: {CERTIFICATE_ACL_URL: 'http://a/b'}":                                        {true, true},
		"certificateAcl: {url: 'http://a/b?fingerprint='}":                                {true, false},
	} {
		notes := render(t, leastGateway, values).notes
		if got := [2]bool{strings.Contains(notes, asked), strings.Contains(notes, slash)}; got != want {
			t.Errorf("%s: it names the URL and the slash: %v, want %v\n%s", values, got, want, notes)
		}
	}
}

func TestCertificateACLIsSpokenToWithFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ values, ca string }{
		"a Secret":    {"{ca: {secret: acl-ca, key: tls.crt}, tokenSecret: {name: acl-token, key: t}}", "acl-ca"},
		"a ConfigMap": {"{ca: {configMap: acl-cas, key: tls.crt}, tokenSecret: {name: acl-token, key: t}}", "acl-cas"},
	} {
		o := render(t, leastGateway, "certificateAcl: {url: 'https://acl.example/x/'}", "certificateAcl: "+c.values)
		o.wantVariables(map[string]string{
			"VERNEGATE_ACL_CA": "/etc/vernegate/certificate-acl/ca.crt", "VERNEGATE_ACL_TOKEN_FILE": "/etc/vernegate/certificate-acl/token",
		})
		mounted := slices.ContainsFunc(o.container("vernegate").VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == "certificate-acl" && m.MountPath == "/etc/vernegate/certificate-acl" && m.ReadOnly && m.SubPath == ""
		})
		volumes := o.pods().Spec.Volumes
		i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == "certificate-acl" })
		if !mounted || i < 0 || volumes[i].Projected == nil || len(volumes[i].Projected.Sources) != 2 {
			t.Fatalf("%s: it mounts %v of %v", name, o.container("vernegate").VolumeMounts, volumes)
		}
		ca, token := volumes[i].Projected.Sources[0], volumes[i].Projected.Sources[1].Secret
		items, of := []corev1.KeyToPath(nil), ""
		if ca.Secret != nil {
			items, of = ca.Secret.Items, ca.Secret.Name
		} else {
			items, of = ca.ConfigMap.Items, ca.ConfigMap.Name
		}
		if of != c.ca || items[0] != (corev1.KeyToPath{Key: "tls.crt", Path: "ca.crt"}) {
			t.Errorf("%s: the CAs are %v of %s", name, items, of)
		}
		if token.Name != "acl-token" || token.Items[0] != (corev1.KeyToPath{Key: "t", Path: "token"}) {
			t.Errorf("%s: the token is %v of %s", name, token.Items, token.Name)
		}
	}
	o := render(t, leastGateway)
	if slices.ContainsFunc(o.pods().Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "certificate-acl" }) {
		t.Error("there is a volume without files")
	}
}
