package main

import (
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/e2e/stack"
)

func TestZZHeap(t *testing.T) {
	bin, err := stack.Build(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := newTestbed(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	m := &meter{t: t, found: map[string]float64{}}
	m.trial, err = s.startTrial(t.Context(), peer.Kinds(bin, "")[0], s.ecdsa, &brief, map[string]string{
		"VERNEGATE_ADMIN_TOKEN": adminToken,
	})
	if err != nil {
		t.Fatal(err)
	}
	show := func(name string) {
		mem, _ := m.trial.proxy.Memory()
		got := m.metrics()
		t.Log(name, "pss", mem/1000)
		for _, k := range []string{"heap_alloc", "heap_inuse", "heap_idle", "heap_released", "stack_inuse", "mspan_inuse", "mspan_sys", "buck_hash_sys", "gc_sys", "other_sys", "sys", "next_gc"} {
			t.Logf("   %s %.0f", k, got["go_memstats_"+k+"_bytes"]/1000)
		}
	}
	dump := func(name string) {
		v := stack.Vernegate{Admin: m.trial.proxy.Admin}
		resp, body, err := v.Ask(t.Context(), http.MethodGet, "/debug/pprof/heap?gc=1", adminToken)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(err, resp.Status, body)
		}
		os.WriteFile("/tmp/heap."+name, []byte(body), 0o644)
		mem, _ := m.trial.proxy.Memory()
		t.Log(name, mem, m.live())
	}
	x := m.open(50)
	x.Close()
	m.quiet()
	show("before")
	sessions := m.open(9000)
	time.Sleep(3*time.Second)
	show("3 s")
	time.Sleep(15 * time.Second)
	show("18 s")
	dump("x")
	time.Sleep(15 * time.Second)
	show("33 s")
	sessions.Close()
}
