// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/vernegate/vernegate/e2e/stack"
)

// Metrics is what vernegate has counted.
func (p *Proxy) Metrics(ctx context.Context) (stack.Metrics, error) {
	v := stack.Vernegate{Admin: p.Admin}
	return v.Metrics(ctx)
}

// Live is what vernegate's runtime holds after a collection, in bytes.
type Live struct{ Heap, Stacks float64 }

// Live has vernegate collect garbage, for which its admin token is needed, and returns what is left.
func (p *Proxy) Live(ctx context.Context, token string) (Live, error) {
	for range 2 { // what a pool held survives the first one
		if err := p.collect(ctx, token); err != nil {
			return Live{}, fmt.Errorf("having vernegate collect garbage: %w", err)
		}
	}
	m, err := p.Metrics(ctx)
	return Live{m["go_memstats_heap_alloc_bytes"], m["go_memstats_stack_inuse_bytes"]}, err
}

func (p *Proxy) collect(ctx context.Context, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Admin+"/debug/pprof/heap?gc=1", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
