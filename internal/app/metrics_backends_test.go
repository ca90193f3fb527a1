// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/vernegate/vernegate/internal/backend"
)

func TestBackendMetrics(t *testing.T) {
	t.Parallel()
	status := backendsCollector(func() []backend.Status {
		return []backend.Status{
			{Addr: "192.0.2.1:1883", State: backend.Up, Sessions: 7},
			{Addr: "192.0.2.2:1883", State: backend.Returning, Sessions: 1, Ejections: map[backend.Reason]int{backend.Dial: 2}},
			{Addr: "192.0.2.3:1883", State: backend.Ejected},
			{Addr: "192.0.2.4:1883", State: backend.Gone, Sessions: 3},
			{Addr: "vernemq:1883", State: backend.Unresolved},
		}
	})
	r := prometheus.NewRegistry()
	r.MustRegister(status)
	want := `
# HELP vernegate_backend_sessions Sessions at the backend now, those being connected included.
# TYPE vernegate_backend_sessions gauge
vernegate_backend_sessions{backend="192.0.2.1:1883"} 7
vernegate_backend_sessions{backend="192.0.2.2:1883"} 1
vernegate_backend_sessions{backend="192.0.2.3:1883"} 0
vernegate_backend_sessions{backend="192.0.2.4:1883"} 3
vernegate_backend_sessions{backend="vernemq:1883"} 0
# HELP vernegate_backend_up 1 while the backend gets new sessions (the first few if it is returning), 0 while it is ejected, gone from its name or not resolved.
# TYPE vernegate_backend_up gauge
vernegate_backend_up{backend="192.0.2.1:1883"} 1
vernegate_backend_up{backend="192.0.2.2:1883"} 1
vernegate_backend_up{backend="192.0.2.3:1883"} 0
vernegate_backend_up{backend="192.0.2.4:1883"} 0
vernegate_backend_up{backend="vernemq:1883"} 0
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "vernegate_backend_up", "vernegate_backend_sessions"); err != nil {
		t.Error(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "vernegate_backend_ejections_total" && m.GetLabel()[0].GetValue() == "192.0.2.2:1883" {
				got[m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if len(got) != len(backend.Reasons()) || got["dial"] != 2 {
		t.Errorf("got ejections %v, want 2 for dial, and every reason", got)
	}
}
