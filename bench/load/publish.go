// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/broker"
	"github.com/vernegate/vernegate/bench/wire"
)

// Down has the broker publish packets with a payload of that size to all sessions, as fast as they go. It counts
// bytes that have arrived.
func (s Sessions) Down(b *broker.Broker, size int) Load { return s.publishAll(b, size, false) }

// Fan is Down with the next packet published once all sessions have the one before.
func (s Sessions) Fan(b *broker.Broker, size int) Load { return s.publishAll(b, size, true) }

func (s Sessions) publishAll(b *broker.Broker, size int, inStep bool) Load {
	packet := wire.AppendPublish(nil, wire.Drop, make([]byte, size))
	return func(ctx context.Context, done *atomic.Int64) error {
		if err := s.subscribe(); err != nil {
			return err
		}
		e := readers{sessions: s, done: done, arrived: make(chan struct{}, 1)}
		e.start()
		var err error
		for want := done.Load(); ctx.Err() == nil && err == nil; {
			want += int64(len(s) * len(packet))
			b.Publish(packet)
			if inStep {
				err = e.await(want)
			}
		}
		return errors.Join(err, e.stop())
	}
}

func (s Sessions) subscribe() error {
	for _, c := range s {
		if _, err := c.Write(wire.Subscription); err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
		if err := expect(c, wire.Suback); err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
	}
	return nil
}

// Readers take whatever comes to their sessions.
type readers struct {
	sessions Sessions
	done     *atomic.Int64 // bytes
	arrived  chan struct{} // a session has read since the last receive

	reading sync.WaitGroup
	errs    []error // of the n-th session
}

func (e *readers) start() {
	e.errs = make([]error, len(e.sessions))
	for i := range e.sessions {
		e.reading.Go(func() { e.errs[i] = e.read(i) })
	}
}

// read reads until the deadline that stop sets.
func (e *readers) read(i int) error {
	buf := make([]byte, 16<<10) // a record
	for {
		n, err := e.sessions[i].Read(buf)
		e.done.Add(int64(n))
		select {
		case e.arrived <- struct{}{}:
		default:
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return fmt.Errorf("reading: %w", err)
		}
	}
}

// await waits until so many bytes have been read in all.
func (e *readers) await(want int64) error {
	tooLong := time.After(patience)
	for e.done.Load() < want {
		select {
		case <-e.arrived:
		case <-tooLong:
			return fmt.Errorf("%d bytes have not arrived", want-e.done.Load())
		}
	}
	return nil
}

func (e *readers) stop() error {
	for _, c := range e.sessions {
		_ = c.SetReadDeadline(time.Now()) // fails when the session has ended, which read returns
	}
	e.reading.Wait()
	return errors.Join(e.errs...)
}

// PacketSize returns how many bytes arrive for each message with a payload of that size.
func PacketSize(size int) float64 {
	return float64(len(wire.AppendPublish(nil, wire.Drop, make([]byte, size))))
}
