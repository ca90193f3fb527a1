// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/vernegate/vernegate/bench/wire"
)

// A Load runs until its context is done, adding up what it has achieved so far, and returns nil then. In which unit it
// counts is said where it is made. A Load runs once.
type Load func(ctx context.Context, done *atomic.Int64) error

// each repeats a step in so many goroutines until the context is done or a step fails.
func each(ctx context.Context, n int, step func(i int) error) error {
	var working sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		working.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				errs[i] = step(i)
			}
		})
	}
	working.Wait()
	return errors.Join(errs...)
}

// Up has each session publish packets of about that size, as fast as they are taken, to be dropped. It counts nothing:
// what arrives is the broker's to count.
func (s Sessions) Up(size int) Load {
	packet := wire.AppendPublish(nil, wire.Drop, make([]byte, size))
	return func(ctx context.Context, _ *atomic.Int64) error {
		return each(ctx, len(s), func(i int) error {
			_, err := s[i].Write(packet)
			return err
		})
	}
}
