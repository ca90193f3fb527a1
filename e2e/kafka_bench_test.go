// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// BenchmarkEventToDisconnect measures the time from the publication of an ownership.delete until the device has read
// the end of its session, while E2E_SESSIONS (1000) others live. Devices are taken away one after the other; the Kafka is
// in this process, and so are the devices.
func BenchmarkEventToDisconnect(b *testing.B) {
	n := 1000
	if sessions := os.Getenv("E2E_SESSIONS"); sessions != "" {
		n = must(strconv.Atoi(sessions))(b)
	}
	kafka := must(stack.StartKafka())(b)
	b.Cleanup(kafka.Down)
	s := benchFixtureWith(b, "VERNEGATE_KAFKA_BROKERS", kafka.Addr, "VERNEGATE_SESSION_RECHECK", "1h", "VERNEGATE_ACL_TTL", "1h")
	ctx := within(b, 10*time.Minute)
	crowd := make([]*member, n)
	var joining sync.WaitGroup
	slots := make(chan struct{}, 32)
	for i := range crowd {
		device := s.device("acme:" + strconv.Itoa(i))
		slots <- struct{}{}
		joining.Go(func() {
			defer func() { <-slots }()
			m, err := join(ctx, s, device)
			if err != nil {
				b.Error(err)
				return
			}
			crowd[i] = m
			go m.listen()
		})
	}
	joining.Wait()
	if b.Failed() {
		b.FailNow()
	}
	eventually(b, stepTime, "Kafka is up", func() bool { return must(s.Metrics(ctx))(b).Sum("vernegate_kafka_up") == 1 })
	if err := kafka.Publish(ctx, "acme", []byte("first")); err != nil {
		b.Fatal(err)
	}
	eventually(b, stepTime, "the topic is read", func() bool { return must(s.Metrics(ctx))(b).Sum("vernegate_ownership_events_total") == 1 })

	var took []time.Duration
	for b.Loop() {
		if len(took) == len(crowd) {
			b.Fatal("more rounds than sessions: set E2E_SESSIONS or -benchtime=100x")
		}
		m := crowd[len(took)]
		began := time.Now()
		if err := kafka.Disown(ctx, m.device.Leaf, "acme", "x"); err != nil {
			b.Fatal(err)
		}
		<-m.over
		took = append(took, m.ended.Sub(began))
	}
	slices.Sort(took)
	for unit, share := range map[string]float64{"p50-ms": .5, "p99-ms": .99, "max-ms": 1} {
		b.ReportMetric(took[int(share*float64(len(took)-1))].Seconds()*1000, unit)
	}
}
