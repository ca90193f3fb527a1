// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// brokerFiles returns the files of the Secret for TLS to the brokers that vernegate finds, and the Secret's name.
func brokerFiles(o objects) (secret string, files []string) {
	for _, m := range o.container("vernegate").VolumeMounts {
		i := slices.IndexFunc(o.pods().Spec.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if m.Name != "brokers" || i < 0 || o.pods().Spec.Volumes[i].Secret == nil {
			continue
		}
		source := o.pods().Spec.Volumes[i].Secret
		for _, item := range source.Items {
			files = append(files, m.MountPath+"/"+item.Path)
		}
		secret = source.SecretName
	}
	return secret, files
}

func TestTLSToBrokers(t *testing.T) {
	t.Parallel()
	const ca, cert, key = "/etc/vernegate/brokers/ca.crt", "/etc/vernegate/brokers/tls.crt", "/etc/vernegate/brokers/tls.key"
	for name, test := range map[string]struct {
		values, secret string
		files          []string
		variables      map[string]string
	}{
		"off":                  {"", "", nil, map[string]string{"VERNEGATE_BACKEND_TLS": "", "VERNEGATE_BACKEND_TLS_CA": ""}},
		"a Secret without TLS": {"gateway: {tls: {secret: brokers}}", "", nil, map[string]string{"VERNEGATE_BACKEND_TLS": "", "VERNEGATE_BACKEND_TLS_CA": ""}},
		"the CAs of the image": {"gateway: {tls: {enabled: true}}", "", nil, map[string]string{"VERNEGATE_BACKEND_TLS": "on", "VERNEGATE_BACKEND_TLS_CA": ""}},
		"a CA and a certificate": {"gateway: {tls: {enabled: true, secret: brokers}}", "brokers", []string{ca, cert, key}, map[string]string{
			"VERNEGATE_BACKEND_TLS": "on", "VERNEGATE_BACKEND_TLS_CA": ca, "VERNEGATE_BACKEND_TLS_CERT": cert, "VERNEGATE_BACKEND_TLS_KEY": key,
			"VERNEGATE_BACKEND_TLS_SERVER_NAME": "",
		}},
		"a CA alone, and a name": {"gateway: {tls: {enabled: true, secret: brokers, clientCertificate: false, serverName: vernemq.iot.svc}}", "brokers", []string{ca}, map[string]string{
			"VERNEGATE_BACKEND_TLS": "on", "VERNEGATE_BACKEND_TLS_CA": ca, "VERNEGATE_BACKEND_TLS_CERT": "", "VERNEGATE_BACKEND_TLS_KEY": "",
			"VERNEGATE_BACKEND_TLS_SERVER_NAME": "vernemq.iot.svc",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := render(t, leastGateway, test.values)
			if secret, files := brokerFiles(o); secret != test.secret || !slices.Equal(files, test.files) {
				t.Errorf("got %q of Secret %q, want %q of %q", files, secret, test.files, test.secret)
			}
			o.wantVariables(test.variables)
		})
	}
}

// Beside a broker in the same pod there is nothing to encrypt.
func TestSidecarSpeaksNoTLSToItsBroker(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "gateway: {tls: {enabled: true, secret: brokers}}")
	o.wantVariables(map[string]string{"VERNEGATE_BACKEND_TLS": ""})
	if secret, _ := brokerFiles(o); secret != "" {
		t.Errorf("it has Secret %q", secret)
	}
}
