// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"
)

const cookieSecret = "mqtt-vernegate-cookie"

func TestCookieIsGenerated(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar)
	first := get[corev1.Secret](o, "Secret", cookieSecret).Data["cookie"]
	second := get[corev1.Secret](render(t, leastSidecar), "Secret", cookieSecret).Data["cookie"]
	if len(first) < 32 || string(first) == string(second) {
		t.Errorf("two installations have the cookies %q and %q", first, second)
	}
	if !strings.Contains(o.notes, cookieSecret) {
		t.Errorf("the notes do not say where it is: %s", o.notes)
	}
}

// clusterWith is a cluster in which there are objects; lookup reads from it.
type clusterWith struct{ objects []runtime.Object }

func (c clusterWith) GetClientFor(apiVersion, kind string) (dynamic.NamespaceableResourceInterface, bool, error) {
	gvr := apischema.GroupVersionResource{Version: apiVersion, Resource: strings.ToLower(kind) + "s"}
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, false, err
	}
	return fake.NewSimpleDynamicClient(scheme, c.objects...).Resource(gvr), true, nil
}

func TestUpgradeKeepsTheCookie(t *testing.T) {
	t.Parallel()
	old := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "iot", Name: cookieSecret},
		Data:       map[string][]byte{"cookie": []byte("from-before")},
	}
	values, err := chartutil.ReadValues([]byte(leastSidecar))
	if err != nil {
		t.Fatal(err)
	}
	c := loadChart(t)
	in, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "mqtt", Namespace: "iot", IsUpgrade: true, Revision: 2}, chartutil.DefaultCapabilities)
	if err != nil {
		t.Fatal(err)
	}
	files, err := engine.RenderWithClientProvider(c, in, clusterWith{[]runtime.Object{old}})
	if err != nil {
		t.Fatal(err)
	}
	var got corev1.Secret
	if err := yaml.UnmarshalStrict([]byte(files["vernegate/templates/cookie.yaml"]), &got); err != nil {
		t.Fatal(err)
	}
	if string(got.Data["cookie"]) != "from-before" {
		t.Errorf("after an upgrade the cookie is %q", got.Data["cookie"])
	}
}

func TestCookieOfAnExistingSecret(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "broker: {cookie: {existingSecret: mine, key: erlang}}")
	if o.has("Secret " + cookieSecret) {
		t.Error("there is a Secret of the chart beside it")
	}
	if ref := o.container("prepare").Env[0].ValueFrom.SecretKeyRef; ref.Name != "mine" || ref.Key != "erlang" {
		t.Errorf("the cookie comes from %v", ref)
	}
	if strings.Contains(o.notes, "Erlang cookie") {
		t.Errorf("the notes speak of a cookie of the chart: %s", o.notes)
	}
}

// prepare runs the init container's script on files like those of VerneMQ's image.
func prepare(t *testing.T, o objects, cookie, prepared string) ([]byte, error) {
	t.Helper()
	etc := t.TempDir()
	for name, text := range map[string]string{"vm.args": "+P 512000\n-setcookie vmq\n-name VerneMQ@127.0.0.1\n", "vernemq.conf": "x = y\n"} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	command := o.container("prepare").Command
	script := strings.NewReplacer("/vernemq/etc", etc, "/prepared", prepared).Replace(command[2])
	cmd := exec.Command(command[0], command[1], script)
	cmd.Env = append(os.Environ(), "COOKIE="+cookie)
	return cmd.CombinedOutput()
}

// startVerneMQ does to vm.args what the command of VerneMQ's image does to join a cluster.
const startVerneMQ = `#!/bin/sh
set -eu
sed 's/VerneMQ@.*/VerneMQ@mqtt-1/' "$ETC/vm.args" >"$ETC/new"
mv "$ETC/new" "$ETC/vm.args"
echo "-eval \"node_join('VerneMQ@mqtt-0')\"" >>"$ETC/vm.args"
echo started "$@"
`

// TestBrokerRestartsInItsPod: a container that starts again finds its volumes as it left them.
func TestBrokerRestartsInItsPod(t *testing.T) {
	t.Parallel()
	const want = "+P 512000\n-name VerneMQ@mqtt-1\n-setcookie secret\n-eval \"node_join('VerneMQ@mqtt-0')\"\n"
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "start_vernemq"), []byte(startVerneMQ), 0o755); err != nil {
		t.Fatal(err)
	}
	for values, said := range map[string]string{
		"":                                    "started\n",
		"broker: {command: [start_vernemq]}":  "started\n",
		"broker: {args: [start_vernemq, -x]}": "started -x\n",
		"broker: {command: [start_vernemq], args: [two words]}": "started two words\n",
	} {
		o, etc := render(t, leastSidecar, values), t.TempDir()
		if out, err := prepare(t, o, "secret", etc); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		broker := o.container("broker")
		line := append(broker.Command, broker.Args...)
		for i := range line {
			line[i] = strings.ReplaceAll(line[i], "/vernemq/etc", etc)
		}
		for range 3 {
			cmd := exec.Command(line[0], line[1:]...)
			cmd.Env = append(os.Environ(), "ETC="+etc, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != said {
				t.Fatalf("with %q it says %q, want %q (%v)", values, out, said, err)
			}
			if got := read(t, etc, "vm.args"); got != want {
				t.Fatalf("with %q it starts with the vm.args\n%s\nwant\n%s", values, got, want)
			}
		}
	}
}

// TestBrokerStartsWithTheCookie runs the init container's script.
func TestBrokerStartsWithTheCookie(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar)
	for cookie, want := range map[string]string{
		"a-Cookie_1": "+P 512000\n-name VerneMQ@127.0.0.1\n-setcookie a-Cookie_1\n",
		"":           "",
		"two words":  "",
	} {
		prepared := t.TempDir()
		out, err := prepare(t, o, cookie, prepared)
		if want == "" {
			if err == nil || !strings.Contains(string(out), "the Erlang cookie has to") {
				t.Errorf("with the cookie %q it ends with %v and says %q", cookie, err, out)
			}
			continue
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if got := read(t, prepared, "vm.args.prepared"); got != want {
			t.Errorf("each start begins with the vm.args\n%s\nwant\n%s", got, want)
		}
		if got := read(t, prepared, "vernemq.conf"); got != "x = y\n" {
			t.Errorf("vernemq.conf is %q", got)
		}
	}
}

func TestStockBrokerHasAReadOnlyRoot(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]bool{
		"": true,
		"broker: {readOnlyRootFilesystem: false}":                             false,
		"broker: {securityContext: {readOnlyRootFilesystem: false}}":          false,
		"broker: {image: {repository: example.org/broker}}":                   false,
		"broker: {image: {repository: example.org/broker}, stockImage: true}": true,
	} {
		o := render(t, leastSidecar, values)
		c := o.container("broker")
		if got := *c.SecurityContext.ReadOnlyRootFilesystem; got != want {
			t.Errorf("with %q its root is read-only: %v, want %v", values, got, want)
		}
		if !want {
			continue
		}
		writable := map[string]bool{}
		for _, m := range c.VolumeMounts {
			writable[m.MountPath] = !m.ReadOnly
		}
		for _, path := range []string{"/vernemq/etc", "/vernemq/data", "/vernemq/log", "/tmp"} {
			if !writable[path] {
				t.Errorf("with %q VerneMQ cannot write to %s", values, path)
			}
		}
		if c.SecurityContext.AllowPrivilegeEscalation == nil || *c.SecurityContext.AllowPrivilegeEscalation {
			t.Errorf("with %q the rest of its security context is lost: %v", values, c.SecurityContext)
		}
	}
}

// TestAnotherBrokerIsNotPrepared: its image may have no shell.
func TestAnotherBrokerIsNotPrepared(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "broker: {image: {repository: example.org/broker}}")
	for _, c := range o.pods().Spec.InitContainers {
		if c.Name == "prepare" {
			t.Error("an init container runs a shell of its image")
		}
	}
	if o.has("Secret " + cookieSecret) {
		t.Error("there is a cookie for it")
	}
}
