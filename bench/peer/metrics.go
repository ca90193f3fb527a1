// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// Metrics is what vernegate has counted.
func (p *Proxy) Metrics(ctx context.Context) (stack.Metrics, error) {
	v := stack.Vernegate{Admin: p.Admin}
	return v.Metrics(ctx)
}

// Live is what vernegate holds after a garbage collection, for which its admin token is needed.
func (p *Proxy) Live(ctx context.Context, token string) (stack.Live, error) {
	v := stack.Vernegate{Admin: p.Admin}
	return v.Live(ctx, token)
}

// Profile is what vernegate spends processor time on for so long, in whole seconds, as pprof reads it. The admin token of
// vernegate is needed.
func (p *Proxy) Profile(ctx context.Context, d time.Duration, token string) ([]byte, error) {
	v := stack.Vernegate{Admin: p.Admin}
	return v.Profile(ctx, d, token)
}
