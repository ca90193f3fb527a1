// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// converted is what "vernegate convert" wrote for an example; a test of the example sees to that.
const converted = "../examples/compose/converted"

// withoutComments returns the lines that say something, but for those that begin with one of skip.
func withoutComments(text string, skip ...string) string {
	var lines []string
next:
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		for _, s := range append(skip, "#") {
			if strings.HasPrefix(line, s) {
				continue next
			}
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}

// TestBrokerHasWhatConvertWrites: apart from what the example's old file had kept.
func TestBrokerHasWhatConvertWrites(t *testing.T) {
	t.Parallel()
	files := get[corev1.ConfigMap](render(t, leastSidecar, "broker: {maxConnections: 120000}"), "ConfigMap", "mqtt-vernegate").Data
	if got, want := withoutComments(files["vmq.acl"]), withoutComments(read(t, converted, "vmq.acl")); got != want {
		t.Errorf("vmq.acl has\n%s\nand convert writes\n%s", got, want)
	}
	const begin = "# Nobody but vernegate"
	_, got, _ := strings.Cut(files["vernemq.conf"], begin)
	_, want, found := strings.Cut(read(t, converted, "vernemq.conf"), begin)
	if !found || strings.TrimSpace(got) != strings.TrimSpace(want) {
		t.Errorf("vernemq.conf ends with\n%s\nand convert writes\n%s", got, want)
	}
	for line := range strings.Lines(withoutComments(files["vernemq.conf"], "accept_eula")) {
		if line = strings.TrimSpace(line); !strings.Contains(read(t, converted, "vernemq.conf"), line+"\n") {
			t.Errorf("vernemq.conf has %q, and what convert writes has not", line)
		}
	}
}

func TestTermsAreAcceptedByTheOneWhoSaysSo(t *testing.T) {
	t.Parallel()
	const eula = "accept_eula = yes\n"
	own := "broker: {acceptEULA: false, image: {repository: example.org/broker}}"
	conf := func(values ...string) string {
		return get[corev1.ConfigMap](render(t, values...), "ConfigMap", "mqtt-vernegate").Data["vernemq.conf"]
	}
	if got := conf(leastSidecar); !strings.Contains(got, eula) {
		t.Errorf("with acceptEULA vernemq.conf is\n%s", got)
	}
	if got := conf(leastSidecar, own); strings.Contains(got, eula) {
		t.Errorf("without acceptEULA vernemq.conf is\n%s", got)
	}
}

func TestBrokerReadsItsFiles(t *testing.T) {
	t.Parallel()
	wantBrokerMounts(t, render(t, leastSidecar), "broker vernemq.conf", "broker ")
	wantBrokerMounts(t, render(t, examples(t)["sidecar-vernemq-conf-values.yaml"]), "converted broker/vernemq.conf", "converted broker")
}

// wantBrokerMounts fails unless conf and folder, as "volume subPath", are where VerneMQ looks.
func wantBrokerMounts(t *testing.T, o objects, conf, folder string) {
	t.Helper()
	at := map[string]string{}
	for _, m := range o.container("broker").VolumeMounts {
		at[m.MountPath] = m.Name + " " + m.SubPath
	}
	if got := at["/vernemq/etc/vernemq.conf.local"]; got != conf {
		t.Errorf("vernemq.conf.local is %q, want %q", got, conf)
	}
	if got := at["/vernemq/etc/vernegate"]; got != folder {
		t.Errorf("the folder of vmq.acl is %q, want %q", got, folder)
	}
}

func TestOldConfigurationIsConverted(t *testing.T) {
	t.Parallel()
	o := render(t, examples(t)["sidecar-vernemq-conf-values.yaml"])
	convert := o.container("convert")
	if got := strings.Join(convert.Args, " "); got != "convert -replace -out /converted/broker" {
		t.Errorf("the init container runs %q", got)
	}
	vars := o.variables("convert")
	if vars["VERNEMQ_CONF"] == "" || vars["VERNEMQ_CONF"] != o.variables("vernegate")["VERNEMQ_CONF"] {
		t.Errorf("VERNEMQ_CONF is %q for convert", vars["VERNEMQ_CONF"])
	}
	if vars["DOCKER_VERNEMQ_ACCEPT_EULA"] != "yes" {
		t.Errorf("convert has %q", vars)
	}
	// What the old configuration says is not said otherwise.
	o.wantVariables(map[string]string{"VERNEGATE_TLS_CERT": "", "VERNEGATE_TLS_CA": "", "VERNEGATE_MAX_CONNECTIONS": "", "DOCKER_VERNEMQ_ACCEPT_EULA": ""})
	if o.has("ConfigMap mqtt-vernegate") {
		t.Error("there is another configuration beside it")
	}
}

func TestFullBrokerRefusesAloud(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "broker: {maxConnections: 1500000}")
	o.wantVariables(map[string]string{"VERNEGATE_MAX_CONNECTIONS": "1500000"})
	o = render(t, leastSidecar, "env: {VERNEGATE_MAX_CONNECTIONS: 5}")
	o.wantVariables(map[string]string{"VERNEGATE_MAX_CONNECTIONS": "5"})
	o = render(t, leastSidecar, "env: {VERNEGATE_MAX_CONNECTIONS: 0, VERNEGATE_SESSION_RECHECK: 0}")
	o.wantVariables(map[string]string{"VERNEGATE_MAX_CONNECTIONS": "0", "VERNEGATE_SESSION_RECHECK": "0"}) // a value, not none
}

// TestNodesFindEachOther: VerneMQ's image asks Kubernetes for the pods with its labels.
func TestNodesFindEachOther(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar)
	vars := o.variables("broker")
	if got := vars["DOCKER_VERNEMQ_KUBERNETES_LABEL_SELECTOR"]; got != "app.kubernetes.io/instance=mqtt,app.kubernetes.io/name=vernegate" {
		t.Errorf("it asks for %q", got)
	}
	set := get[appsv1.StatefulSet](o, "StatefulSet", "mqtt-vernegate")
	if service := get[corev1.Service](o, "Service", set.Spec.ServiceName); service.Spec.ClusterIP != corev1.ClusterIPNone || !service.Spec.PublishNotReadyAddresses {
		t.Errorf("the pods have no names before they are ready: %v", service.Spec)
	}
	role := get[rbacv1.Role](o, "Role", "mqtt-vernegate")
	if len(role.Rules) != 2 || role.Rules[1].ResourceNames[0] != set.Name {
		t.Errorf("it may %v, want to look at pods and its own StatefulSet", role.Rules)
	}
}

// TestTokenIsTheBrokersAlone: vernegate has no use for it, and faces the world.
func TestTokenIsTheBrokersAlone(t *testing.T) {
	t.Parallel()
	const at = "/var/run/secrets/kubernetes.io/serviceaccount"
	o := render(t, leastSidecar)
	if auto := o.pods().Spec.AutomountServiceAccountToken; auto == nil || *auto {
		t.Error("every container has a token")
	}
	for container, want := range map[string]bool{"broker": true, "vernegate": false} {
		got := false
		for _, m := range o.container(container).VolumeMounts {
			got = got || m.MountPath == at
		}
		if got != want {
			t.Errorf("%s has a token: %v, want %v", container, got, want)
		}
	}
	if o := render(t, leastSidecar, "replicas: 1\nbroker: {clustering: {enabled: false}}"); o.has("Role mqtt-vernegate") {
		t.Error("a node alone may look at pods")
	}
}

func TestAnotherBrokerCanTakeItsPlace(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, `
replicas: 1
broker:
  image: {repository: localhost/broker, tag: dev, pullPolicy: Never}
  command: [/broker]
  args: ["127.0.0.1:1883"]
  proxyProtocol: "off"
  startupProbe: null
  livenessProbe: null
  readinessProbe: null
  clustering: {enabled: false}
  persistence: {enabled: false}
`)
	broker := o.container("broker")
	if broker.Image != "localhost/broker:dev" || broker.Command[0] != "/broker" || broker.Args[0] != "127.0.0.1:1883" {
		t.Errorf("the broker is %s, %q, %q", broker.Image, broker.Command, broker.Args)
	}
	if broker.StartupProbe != nil || broker.LivenessProbe != nil || broker.ReadinessProbe != nil {
		t.Error("it is probed")
	}
	o.wantVariables(map[string]string{"VERNEGATE_BACKENDS": "127.0.0.1:1883", "VERNEGATE_BACKEND_PROXY_PROTOCOL": "off"}) // and no word about readiness: the broker has its own
	if claims := get[appsv1.StatefulSet](o, "StatefulSet", "mqtt-vernegate").Spec.VolumeClaimTemplates; len(claims) != 0 {
		t.Errorf("it has %v", claims)
	}
}
