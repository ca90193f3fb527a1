// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics is one scrape: a value for every series, which is its name and labels as
// Prometheus writes them, for example `go_goroutines` or `up{job="x"}`.
type Metrics map[string]float64

// Metrics scrapes the admin server.
func (v *Vernegate) Metrics(ctx context.Context) (Metrics, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.Admin+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("scraping metrics: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scraping metrics: %s", resp.Status)
	}
	m := make(Metrics)
	for lines := bufio.NewScanner(resp.Body); ; {
		if !lines.Scan() {
			return m, lines.Err()
		}
		if err := m.add(lines.Text()); err != nil {
			return nil, fmt.Errorf("scraping metrics: %w", err)
		}
	}
}

// Live is what vernegate's runtime holds after a garbage collection, in bytes.
type Live struct{ Heap, Stacks float64 }

// Live has vernegate collect garbage, for which its admin token is needed, and returns what is left.
func (v *Vernegate) Live(ctx context.Context, token string) (Live, error) {
	for range 2 { // what a pool holds survives the first one
		// As text: a compressed profile would leave more than a megabyte of garbage, which may be collected or not.
		resp, _, err := v.Ask(ctx, http.MethodGet, "/debug/pprof/heap?gc=1&debug=1", token)
		if err != nil {
			return Live{}, fmt.Errorf("collecting garbage: %w", err)
		}
		if resp.StatusCode != http.StatusOK {
			return Live{}, fmt.Errorf("collecting garbage: %s", resp.Status)
		}
	}
	m, err := v.Metrics(ctx)
	return Live{m["go_memstats_heap_alloc_bytes"], m["go_memstats_stack_inuse_bytes"]}, err
}

// Profile has vernegate record for so long, in whole seconds, what it spends processor time on, for which its admin token
// is needed. The profile is what pprof reads.
func (v *Vernegate) Profile(ctx context.Context, d time.Duration, token string) ([]byte, error) {
	resp, body, err := v.Ask(ctx, http.MethodGet, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(d.Seconds())), token)
	if err != nil {
		return nil, fmt.Errorf("taking a profile: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("taking a profile: %s: %s", resp.Status, body)
	}
	return []byte(body), nil
}

// add takes one line of the text format in; comments say nothing.
func (m Metrics) add(line string) error {
	if line == "" || strings.HasPrefix(line, "#") {
		return nil
	}
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return fmt.Errorf("no value in %q", line)
	}
	value, err := strconv.ParseFloat(line[at+1:], 64)
	m[line[:at]] = value
	return err
}

// Sum adds up the series of a metric that carry all of the labels, each written
// as name="value".
func (m Metrics) Sum(name string, labels ...string) float64 {
	var sum float64
	for series, value := range m {
		if base, _, _ := strings.Cut(series, "{"); base == name && carries(series, labels) {
			sum += value
		}
	}
	return sum
}

// carries reports whether a series has all of the labels.
func carries(series string, labels []string) bool {
	for _, label := range labels {
		if !strings.Contains(series, "{"+label) && !strings.Contains(series, ","+label) {
			return false
		}
	}
	return true
}
