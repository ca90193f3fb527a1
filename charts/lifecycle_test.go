// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package charts_test

import (
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// shutdown is what vernegate and Kubernetes need beside the drain: docs/operations.md says ten seconds.
const shutdown = 10 * time.Second

func TestGatewayHasTimeToDrain(t *testing.T) {
	t.Parallel()
	o := render(t, leastGateway, "drain: {delaySeconds: 20, timeoutSeconds: 300}")
	o.wantVariables(map[string]string{"VERNEGATE_DRAIN_DELAY": "20s", "VERNEGATE_DRAIN_TIMEOUT": "300s"})
	if grace := gracePeriod(o); grace <= 320*time.Second+shutdown {
		t.Errorf("it has %v for a drain of 320 s", grace)
	}
	if hook := o.container("vernegate").Lifecycle; hook != nil {
		t.Errorf("there is a hook, %v, before the SIGTERM that begins the drain", hook)
	}
}

// TestSidecarDrainsBeforeTheBrokerStops: Kubernetes sends SIGTERM to a native sidecar after
// the other containers have ended, but runs the hooks of all at once.
func TestSidecarDrainsBeforeTheBrokerStops(t *testing.T) {
	t.Parallel()
	o := render(t, leastSidecar, "drain: {delaySeconds: 20, timeoutSeconds: 300}\nbroker: {stopSeconds: 60}")
	gate := o.container("vernegate")
	if gate.RestartPolicy == nil || *gate.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Fatalf("vernegate is no native sidecar")
	}
	if got := strings.Join(gate.Lifecycle.PreStop.Exec.Command, " "); got != "/vernegate drain" {
		t.Errorf("vernegate's hook is %q", got)
	}
	wait := time.Duration(o.container("broker").Lifecycle.PreStop.Sleep.Seconds) * time.Second
	if wait <= 320*time.Second+shutdown {
		t.Errorf("the broker waits %v for a drain of 320 s", wait)
	}
	if grace := gracePeriod(o); grace <= wait+60*time.Second {
		t.Errorf("the pod has %v: %v for the drain and less than 60 s for the broker", grace, wait)
	}
}

// TestABrokerThatHangsIsNotWaitedFor: its hook would otherwise keep it for a whole drain.
func TestABrokerThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	broker := render(t, leastSidecar).container("broker")
	for name, probe := range map[string]*corev1.Probe{"startup": broker.StartupProbe, "liveness": broker.LivenessProbe} {
		if grace := probe.TerminationGracePeriodSeconds; grace == nil || *grace >= broker.Lifecycle.PreStop.Sleep.Seconds {
			t.Errorf("when its %s probe fails, the broker has %v s", name, grace)
		}
	}
}

func gracePeriod(o objects) time.Duration {
	o.t.Helper()
	return time.Duration(*o.pods().Spec.TerminationGracePeriodSeconds) * time.Second
}

func TestProbesAskTheAdminServer(t *testing.T) {
	t.Parallel()
	for _, values := range []string{leastSidecar, leastGateway} {
		o := render(t, values)
		gate := o.container("vernegate")
		if got := gate.LivenessProbe.HTTPGet; got.Path != "/livez" || got.Port.StrVal != "admin" {
			t.Errorf("liveness asks %v", got)
		}
		if got := gate.ReadinessProbe.HTTPGet; got.Path != "/readyz" || got.Port.StrVal != "admin" {
			t.Errorf("readiness asks %v", got)
		}
		if gate.StartupProbe != nil {
			t.Error("a startup probe keeps back the containers after a native sidecar, which may bring its certificates")
		}
		o.wantListening("VERNEGATE_ADMIN", "admin")
		o.wantListening("VERNEGATE_LISTEN", "mqtts")
		o.wantListening("VERNEGATE_SERVICE_LISTEN", "mqtts-services")
	}
}

// wantListening fails unless a variable's port is the one of that name.
func (o objects) wantListening(variable, port string) {
	o.t.Helper()
	for _, p := range o.container("vernegate").Ports {
		if p.Name == port {
			o.wantVariables(map[string]string{variable: ":" + strconv.Itoa(int(p.ContainerPort))})
			return
		}
	}
	o.t.Errorf("there is no port %s", port)
}

// TestOnlyWhatCannotBeReloadedRestartsPods compares the pods before and after a change.
func TestOnlyWhatCannotBeReloadedRestartsPods(t *testing.T) {
	t.Parallel()
	before := render(t, leastSidecar).pods()
	for values, want := range map[string]bool{
		"broker: {acl: 'topic read x'}":                false, // VerneMQ reads it again
		"broker: {config: systree_enabled = off}":      true,
		"commonLabels: {}\nservice: {type: ClusterIP}": false,
		"env: {VERNEGATE_SESSION_RECHECK: 1m}":         true,
	} {
		after := render(t, leastSidecar, values).pods()
		if got := !reflect.DeepEqual(after, before); got != want {
			t.Errorf("%q makes other pods: %v, want %v", values, got, want)
		}
	}
	for name := range render(t, leastSidecar).pods().Annotations {
		if name != "checksum/vernemq.conf" {
			t.Errorf("there is an annotation %s", name)
		}
	}
}
