// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"strings"
	"testing"
)

func TestImpossibleCombinationsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		values []string
		want   string // what it says to change
	}{
		"no values at all":              {nil, "broker.acceptEULA"},
		"gateway without brokers":       {[]string{leastGateway, "gateway: {backends: []}"}, "gateway.backends: name the brokers"},
		"gateway with VERNEMQ_CONF":     {[]string{leastGateway, "broker: {vernemqConf: Zm9v}"}, "broker.vernemqConf: in mode gateway"},
		"sidecar with other brokers":    {[]string{leastSidecar, `gateway: {backends: ["b:1883"]}`}, "gateway.backends: in mode sidecar"},
		"stock image without its terms": {[]string{leastSidecar, "broker: {acceptEULA: false}"}, "broker.acceptEULA=true"},
		"nodes that are no cluster":     {[]string{leastSidecar, "broker: {clustering: {enabled: false}}"}, "broker.clustering.enabled"},
		"VERNEMQ_CONF and config":       {[]string{leastSidecar, "broker: {vernemqConf: Zm9v, config: systree_enabled = off}"}, "remove broker.config and broker.acl"},
		"VERNEMQ_CONF and acl":          {[]string{leastSidecar, "broker: {vernemqConf: Zm9v, acl: 'topic #'}"}, "remove broker.config and broker.acl"},
		"VERNEMQ_CONF without PROXY":    {[]string{leastSidecar, `broker: {vernemqConf: Zm9v, proxyProtocol: "off"}`}, "broker.proxyProtocol"},
		"no Secret":                     {[]string{leastGateway, `certificates: {existingSecret: {name: ""}}`}, "certificates.existingSecret.name: name the Secret"},
		"no issuer":                     {[]string{leastGateway, "certificates: {source: certManager}"}, "certificates.certManager.issuerRef.name"},
		"no names": {[]string{leastGateway, "certificates: {source: certManager, certManager: {issuerRef: {name: i}}}"},
			"certificates.certManager.dnsNames"},
		"no CAs of devices": {[]string{leastGateway, "certificates: {source: certManager, certManager: {issuerRef: {name: i}, dnsNames: [a]}}"},
			"certificates.ca: name the Secret or ConfigMap"},
		"no volume":                       {[]string{leastGateway, "certificates: {source: volume}"}, "certificates.volume.source"},
		"a volume, and a Secret":          {[]string{leastGateway, "certificates: {source: volume, volume: {source: {emptyDir: {}}}, crl: {secret: s}}"}, "certificates.volume.crls"},
		"two CRLs on volumes":             {[]string{leastGateway, "certificates: {source: volume, volume: {source: {emptyDir: {}}, crls: [a]}, crl: {volume: {source: {emptyDir: {}}, file: b}}}"}, "certificates.crl.volume"},
		"URLs, and unnamed CRLs":          {[]string{leastGateway, "certificates: {source: volume, volume: {source: {emptyDir: {}}}, crl: {urls: [https://ca.example.org/ca.crl]}}"}, "certificates.volume.crls"},
		"two places of CAs":               {[]string{leastGateway, "certificates: {ca: {secret: s, configMap: c}}"}, "either secret or configMap"},
		"two places of CRLs":              {[]string{leastGateway, "certificates: {crl: {secret: s, configMap: c}}"}, "expected one of secret, configMap and volume"},
		"a CRL without a file":            {[]string{leastGateway, "certificates: {crl: {volume: {source: {emptyDir: {}}}}}"}, "certificates.crl.volume.file"},
		"CAs of list servers twice":       {[]string{leastGateway, "certificates: {crl: {urls: [https://ca.example.org/ca.crl], serverCA: {secret: a, configMap: b}}}"}, "certificates.crl.serverCA: expected either"},
		"CAs of no list servers":          {[]string{leastGateway, "certificates: {crl: {serverCA: {secret: a}}}"}, "certificates.crl.serverCA: no CRL is fetched"},
		"certificates that send anywhere": {[]string{leastGateway, "certificates: {crl: {distributionPoints: leaf}}"}, "certificates.crl.hosts"},
		"a variable of the chart's":       {[]string{leastGateway, "env: {VERNEGATE_DRAIN_TIMEOUT: 60s}"}, "set drain.timeoutSeconds instead"},
		"the same in extraEnv":            {[]string{leastGateway, "extraEnv: [{name: VERNEGATE_ADMIN_TOKEN, value: x}]"}, "set admin.tokenSecret instead"},
		"a token for reading in env":      {[]string{leastGateway, "env: {VERNEGATE_ADMIN_READ_TOKEN: x}"}, "set admin.readTokenSecret instead"},
		"scaling a cluster":               {[]string{leastSidecar, "autoscaling: {enabled: true}"}, "mode=gateway"},
		"scaling down to more":            {[]string{leastGateway, "autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 2}"}, "autoscaling.minReplicas"},
		"scaling by nothing":              {[]string{leastGateway, "autoscaling: {enabled: true, targetCPUUtilizationPercentage: null}"}, "set targetCPUUtilizationPercentage, metrics or both"},
		"two files of owners":             {[]string{leastGateway, "env: {VERNEGATE_IDENTITY: file}\nidentity: {file: {secret: s, configMap: c}}"}, "identity.file: expected one of secret, configMap and path"},
		"a file that is not asked":        {[]string{leastGateway, "env: {VERNEGATE_IDENTITY: profile}\nidentity: {file: {secret: s}}"}, "identity.file: is not asked; set env.VERNEGATE_IDENTITY"},
		"a file of owners in env":         {[]string{leastGateway, "env: {VERNEGATE_IDENTITY: file, VERNEGATE_IDENTITY_FILE: x}\nidentity: {file: {secret: s}}"}, "set identity.file instead"},
		"TLS to Kafka in env":             {[]string{leastGateway, "env: {VERNEGATE_KAFKA_TLS: 'on'}\nkafka: {tls: {enabled: true}}"}, "set kafka.tls instead"},
		"Kafka's password in env":         {[]string{leastGateway, "env: {VERNEGATE_KAFKA_SASL_PASSWORD_FILE: x}"}, "set kafka.passwordSecret instead"},
		"CAs for http":                    {[]string{leastGateway, "certificateAcl: {url: 'http://acl/', ca: {secret: s}}"}, "certificateAcl.ca: vernegate refuses CAs"},
		"CAs for http by default":         {[]string{leastGateway, "certificateAcl: {ca: {configMap: c}}"}, "certificateAcl.ca: vernegate refuses CAs"},
		"CAs for http in env":             {[]string{leastGateway, "certificateAcl: {ca: {configMap: c}}\nenv: {CERTIFICATE_ACL_URL: 'http://acl/'}"}, "certificateAcl.ca: vernegate refuses CAs"},
		"a certificate for http":          {[]string{leastGateway, "env: {VERNEGATE_ACL_CERT: /a.crt, VERNEGATE_ACL_KEY: /a.key}"}, "env: vernegate refuses VERNEGATE_ACL_CERT"},
		"a key for http in extraEnv":      {[]string{leastGateway, "extraEnv: [{name: VERNEGATE_ACL_KEY, value: /a.key}]"}, "env: vernegate refuses VERNEGATE_ACL_KEY"},
		"two URLs of certificate-acl":     {[]string{leastGateway, "certificateAcl: {url: 'http://a/'}\nenv: {CERTIFICATE_ACL_URL: 'http://b/'}"}, "env: CERTIFICATE_ACL_URL is not what certificateAcl.url says"},
		"another URL in extraEnv":         {[]string{leastGateway, "certificateAcl: {url: 'http://a/'}\nextraEnv: [{name: CERTIFICATE_ACL_URL, value: 'http://b/'}]"}, "env: CERTIFICATE_ACL_URL is not what certificateAcl.url says"},
		"two timeouts of certificate-acl": {[]string{leastGateway, "certificateAcl: {timeoutMs: 500}\nenv: {CERTIFICATE_ACL_REQ_TIMEOUT_MS: 700}"}, "env: CERTIFICATE_ACL_REQ_TIMEOUT_MS is not what certificateAcl.timeoutMs says"},
		"scaling by percents of nothing": {[]string{leastGateway, "autoscaling: {enabled: true}\nresources: {requests: {cpu: null}}"},
			"resources.requests.cpu"},
		"two listeners on one port": {[]string{leastGateway, "listeners: {webSocket: {enabled: true, port: 8883}}"}, "listeners.webSocket.port"},
		"an Ingress to nowhere":     {[]string{leastGateway, "ingress: {enabled: true, hosts: [a]}"}, "listeners.webSocket.enabled=true or listeners.alpn=true"},
		"an Ingress for nobody":     {[]string{leastGateway, "ingress: {enabled: true}\nlisteners: {alpn: true}"}, "ingress.hosts"},
		"a budget of nothing":       {[]string{leastGateway, "podDisruptionBudget: {maxUnavailable: null}"}, "podDisruptionBudget: set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryRender(t, c.values...)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, want %q", err, c.want)
			}
		})
	}
}

func TestImpossibleCombinationsAreAllNamedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := tryRender(t, leastGateway, `
gateway: {backends: []}
certificates: {source: certManager}
certificateAcl: {ca: {secret: a, configMap: b}}
env: {VERNEGATE_DRAIN_TIMEOUT: 60s, VERNEGATE_LISTEN: ":1"}
podDisruptionBudget: {maxUnavailable: null}`)
	if err == nil {
		t.Fatal("it is accepted")
	}
	for _, want := range []string{
		"gateway.backends: name", "certificates.certManager.issuerRef.name", "certificates.certManager.dnsNames", "certificates.ca: name",
		"certificateAcl.ca: expected either", "env: VERNEGATE_DRAIN_TIMEOUT", "env: VERNEGATE_LISTEN", "podDisruptionBudget: set",
	} {
		if !strings.Contains(err.Error(), "\n"+want) {
			t.Errorf("no line begins with %q:\n%v", want, err)
		}
	}
}

func TestSchemaRefusesMistakesByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ values, want string }{
		"an unknown mode":       {"mode: both", "at '/mode': value must be one of 'sidecar', 'gateway'"},
		"a misspelt value":      {"replica: 3", "additional properties 'replica' not allowed"},
		"a misspelt deep value": {"certificates: {crl: {secrets: s}}", "at '/certificates/crl': additional properties 'secrets' not allowed"},
		"a misspelt variable":   {"env: {VERNEGATE_CLIENTID: owner}", "at '/env': additional properties 'VERNEGATE_CLIENTID' not allowed"},
		"a duration for drain":  {"drain: {timeoutSeconds: 30s}", "at '/drain/timeoutSeconds': got string, want integer"},
		"a broker without port": {"gateway: {backends: [vernemq]}", "at '/gateway/backends/0': 'vernemq' does not match pattern"},
		"a port that is none":   {"service: {port: 88830}", "at '/service/port': maximum: got 88,830, want 65,535"},
		"a digest that is none": {"image: {digest: latest}", "at '/image/digest': 'latest' does not match pattern"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tryRender(t, leastGateway, c.values)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, want %q", err, c.want)
			}
		})
	}
}
