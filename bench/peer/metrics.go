// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package peer

import (
	"context"

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
