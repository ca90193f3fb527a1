// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// trustFiles returns what the pods' volume "certificates" is made of, as "kind name key path".
func trustFiles(o objects) []string {
	o.t.Helper()
	var files []string
	for _, v := range o.pods().Spec.Volumes {
		if v.Name != "certificates" || v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			switch {
			case s.Secret != nil:
				files = append(files, described("Secret", s.Secret.Name, s.Secret.Items)...)
			case s.ConfigMap != nil:
				files = append(files, described("ConfigMap", s.ConfigMap.Name, s.ConfigMap.Items)...)
			}
		}
	}
	return files
}

func described(kind, name string, items []corev1.KeyToPath) []string {
	var files []string
	for _, item := range items {
		files = append(files, kind+" "+name+" "+item.Key+" "+item.Path)
	}
	return files
}

func wantTrustFiles(t *testing.T, o objects, want ...string) {
	t.Helper()
	if got := trustFiles(o); !slices.Equal(got, want) {
		t.Errorf("the trust files are %q, want %q", got, want)
	}
}

// wantMount fails unless vernegate has a volume there, which it only reads.
func wantMount(t *testing.T, o objects, volume, path string) {
	t.Helper()
	mounts := o.container("vernegate").VolumeMounts
	if !slices.ContainsFunc(mounts, func(m corev1.VolumeMount) bool {
		return m.Name == volume && m.MountPath == path && m.ReadOnly
	}) {
		t.Errorf("vernegate has %v, want %s at %s", mounts, volume, path)
	}
}

func TestCertificatesFromASecretAlone(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "certificates: {existingSecret: {certificateKey: crt, privateKeyKey: key}}")
	wantTrustFiles(t, o, "Secret server crt tls.crt", "Secret server key tls.key", "Secret server ca.crt ca.crt")
	wantMount(t, o, "certificates", "/etc/vernegate/tls")
	o.wantVariables(map[string]string{
		"VERNEGATE_TLS_CERT": "/etc/vernegate/tls/tls.crt",
		"VERNEGATE_TLS_KEY":  "/etc/vernegate/tls/tls.key",
		"VERNEGATE_TLS_CA":   "/etc/vernegate/tls/ca.crt",
		"VERNEGATE_TLS_CRL":  "", // and so none that must exist
	})
	if o.has("Certificate mqtt-vernegate") {
		t.Error("cert-manager is asked for a certificate")
	}
}

// TestKeysCanBeReadByTheirGroup, which vernegate's user gets by fsGroup, and by nobody else.
func TestKeysCanBeReadByTheirGroup(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway)
	if group := o.pods().Spec.SecurityContext.FSGroup; group == nil {
		t.Error("the files have no group")
	}
	for _, v := range o.pods().Spec.Volumes {
		if v.Name == "certificates" && *v.Projected.DefaultMode != 0o440 {
			t.Errorf("their mode is %o", *v.Projected.DefaultMode)
		}
	}
}

func TestCAsAndCRLsFromElsewhere(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "certificates: {ca: {configMap: cas, key: bundle.pem}, crl: {secret: crls}}")
	wantTrustFiles(t, o, "Secret server tls.crt tls.crt", "Secret server tls.key tls.key",
		"ConfigMap cas bundle.pem ca.crt", "Secret crls ca.crl ca.crl")
	o.wantVariables(map[string]string{
		"VERNEGATE_TLS_CA":  "/etc/vernegate/tls/ca.crt",
		"VERNEGATE_TLS_CRL": "/etc/vernegate/tls/ca.crl",
	})
}

func TestCRLsOnAVolume(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "certificates: {crl: {volume: {source: {persistentVolumeClaim: {claimName: crls}}, file: all.pem}}}")
	wantMount(t, o, "crl", "/etc/vernegate/crl")
	o.wantVariables(map[string]string{"VERNEGATE_TLS_CRL": "/etc/vernegate/crl/all.pem"})
	volumes := o.pods().Spec.Volumes
	if !slices.ContainsFunc(volumes, func(v corev1.Volume) bool {
		return v.Name == "crl" && v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "crls"
	}) {
		t.Errorf("the volumes are %v", volumes)
	}
}

func TestCRLsFromURLs(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "certificates: {crl: {secret: crls, urls: ['http://ca.example.org/a.crl', 'https://ca.example.org/b.crl']}}")
	o.wantVariables(map[string]string{
		"VERNEGATE_TLS_CRL":      "/etc/vernegate/tls/ca.crl,http://ca.example.org/a.crl,https://ca.example.org/b.crl",
		"VERNEGATE_STATE_DIR":    "/var/lib/vernegate",
		"VERNEGATE_CRL_FROM_CDP": "",
	})
	if !slices.ContainsFunc(o.pods().Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "state" && v.EmptyDir != nil }) {
		t.Errorf("the volumes are %v", o.pods().Spec.Volumes)
	}
	if !slices.ContainsFunc(o.container("vernegate").VolumeMounts, func(m corev1.VolumeMount) bool {
		return m.Name == "state" && m.MountPath == "/var/lib/vernegate" && !m.ReadOnly
	}) {
		t.Errorf("what was fetched cannot be written: %v", o.container("vernegate").VolumeMounts)
	}
}

func TestRespondersThatCertificatesName(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "{env: {VERNEGATE_OCSP: 'on', VERNEGATE_OCSP_ON_ERROR: deny}, certificates: {crl: {hosts: [ocsp.example.org]}}}")
	o.wantVariables(map[string]string{
		"VERNEGATE_OCSP": "on", "VERNEGATE_OCSP_ON_ERROR": "deny", "VERNEGATE_CRL_HOSTS": "ocsp.example.org",
	})
}

func TestCRLsThatCertificatesName(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "certificates: {crl: {distributionPoints: leaf, hosts: [crl.example.org, '*.pki.example.org'], state: {source: {persistentVolumeClaim: {claimName: state}}}}}")
	o.wantVariables(map[string]string{
		"VERNEGATE_CRL_FROM_CDP": "leaf", "VERNEGATE_CRL_HOSTS": "crl.example.org,*.pki.example.org", "VERNEGATE_STATE_DIR": "/var/lib/vernegate",
		"VERNEGATE_TLS_CRL": "",
	})
	for _, off := range []string{"off", "'off'"} {
		o := render(t, leastSidecar, "certificates: {crl: {distributionPoints: "+off+"}}")
		o.wantVariables(map[string]string{"VERNEGATE_CRL_FROM_CDP": "", "VERNEGATE_STATE_DIR": ""})
	}
}

func TestTicketKeysThatPodsShare(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "certificates: {ticketKeys: {secret: tickets, key: keys}}")
	wantMount(t, o, "ticket-keys", "/etc/vernegate/tickets")
	o.wantVariables(map[string]string{"VERNEGATE_TICKET_KEYS": "/etc/vernegate/tickets/ticket.keys"})
	for _, v := range o.pods().Spec.Volumes {
		if v.Name == "ticket-keys" && !slices.Equal(described("Secret", v.Secret.SecretName, v.Secret.Items), []string{"Secret tickets keys ticket.keys"}) {
			t.Errorf("they come from %v", v.Secret)
		}
	}
	render(t, leastGateway).wantVariables(map[string]string{"VERNEGATE_TICKET_KEYS": ""})
}

func TestCertificateFromCertManager(t *testing.T) {
	t.Parallel()
	o := render(t, examples(t)["gateway-cert-manager-values.yaml"], "certificates: {certManager: {duration: 720h}}")
	c := get[certificate](o, "Certificate", "mqtt-vernegate").Spec
	if c.SecretName != "mqtt-vernegate-tls" || c.IssuerRef.Name != "public" || c.IssuerRef.Kind != "ClusterIssuer" || c.Duration != "720h" {
		t.Errorf("it asks for %+v", c)
	}
	if !slices.Equal(c.DNSNames, []string{"mqtt.example.org"}) || !slices.Contains(c.Usages, "server auth") {
		t.Errorf("it is for %q as %q", c.DNSNames, c.Usages)
	}
	if c.PrivateKey.Algorithm != "ECDSA" || c.PrivateKey.RotationPolicy != "Always" {
		t.Errorf("its key is %+v, want a cheap one that changes", c.PrivateKey)
	}
	wantTrustFiles(t, o, "Secret mqtt-vernegate-tls tls.crt tls.crt", "Secret mqtt-vernegate-tls tls.key tls.key",
		"ConfigMap device-cas bundle.pem ca.crt", "Secret device-crls ca.crl ca.crl")
}

func TestCertificatesOnAVolumeThatAnotherContainerWrites(t *testing.T) {
	t.Parallel()
	o := render(t, examples(t)["sidecar-cert-sidecar-values.yaml"])
	wantMount(t, o, "certificates", "/vernemq/cert")
	o.wantVariables(map[string]string{
		"VERNEGATE_TLS_CERT": "/vernemq/cert/iotagent-mqtt.crt",
		"VERNEGATE_TLS_KEY":  "/vernemq/cert/iotagent-mqtt.key",
		"VERNEGATE_TLS_CA":   "/vernemq/cert/cabundle.crt",
		"VERNEGATE_TLS_CRL":  "/vernemq/cert/ca.crl",
	})
	first := o.pods().Spec.InitContainers[0]
	if first.Name != "cert-sidecar" || first.RestartPolicy == nil || *first.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Errorf("the first container is %s, want cert-sidecar, which goes on running", first.Name)
	}
	if first.VolumeMounts[0].Name != "certificates" || first.VolumeMounts[0].ReadOnly {
		t.Errorf("cert-sidecar has %v, want to write to the certificates", first.VolumeMounts)
	}
}

func TestUnnamedFilesOfAVolumeAreLeftToTheProgram(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "certificates: {source: volume, volume: {source: {emptyDir: {}}, certificates: [a.crt, b.crt], privateKeys: [a.key, b.key]}}")
	o.wantVariables(map[string]string{
		"VERNEGATE_TLS_CERT": "/vernemq/cert/a.crt,/vernemq/cert/b.crt",
		"VERNEGATE_TLS_KEY":  "/vernemq/cert/a.key,/vernemq/cert/b.key",
		"VERNEGATE_TLS_CA":   "",
		"VERNEGATE_TLS_CRL":  "",
	})
}

func TestListServersAreVerifiedAgainstFiles(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"secret", "configMap"} {
		o := render(t, leastGateway, "certificates: {crl: {urls: [https://ca.example.org/ca.crl], serverCA: {"+kind+": list-cas, key: tls.crt}}}")
		o.wantVariables(map[string]string{"VERNEGATE_CRL_CA": "/etc/vernegate/crl-server/ca.crt"})
		mounted := slices.ContainsFunc(o.container("vernegate").VolumeMounts, func(m corev1.VolumeMount) bool {
			return m.Name == "crl-server" && m.MountPath == "/etc/vernegate/crl-server" && m.ReadOnly && m.SubPath == ""
		})
		volumes := o.pods().Spec.Volumes
		i := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == "crl-server" })
		if !mounted || i < 0 || volumes[i].Projected == nil {
			t.Fatalf("%s: it mounts %v of %v", kind, o.container("vernegate").VolumeMounts, volumes)
		}
		source := volumes[i].Projected.Sources[0]
		items := []corev1.KeyToPath(nil)
		if kind == "secret" {
			items = source.Secret.Items
		} else {
			items = source.ConfigMap.Items
		}
		if items[0] != (corev1.KeyToPath{Key: "tls.crt", Path: "ca.crt"}) {
			t.Errorf("%s: the CAs are %v", kind, items)
		}
	}
}
