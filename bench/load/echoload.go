// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/wire"
)

// An EchoLoad sends messages over sessions, receives their echoes, and records each round trip.
type EchoLoad struct {
	*timeline // with a track for each session
	sessions  Sessions
	size      int // of a payload
}

// stampSize is how many bytes of a payload hold the time when it was sent.
const stampSize = 8

// senders is how many goroutines share the sessions of an open loop.
const senders = 8

// NewEchoLoad makes an EchoLoad of messages with a payload of that size, in bytes, at least 8.
func NewEchoLoad(s Sessions, size int) *EchoLoad {
	return &EchoLoad{timeline: newTimeline(len(s)), sessions: s, size: max(size, stampSize)}
}

// ClosedLoop has so many messages under way at any time, at most one for each session, and the next one of those is sent by
// the session that has been silent the longest. It counts echoes.
func (c *EchoLoad) ClosedLoop(underWay int) Load {
	underWay = min(underWay, len(c.sessions))
	return func(ctx context.Context, done *atomic.Int64) error {
		turns, packets := make([]int, underWay), make([][]byte, underWay)
		for w := range underWay {
			turns[w], packets[w] = w, c.packet()
		}
		return each(ctx, underWay, func(w int) error {
			i := turns[w]
			if turns[w] += underWay; turns[w] >= len(c.sessions) {
				turns[w] = w
			}
			if err := c.send(i, packets[w]); err != nil {
				return err
			}
			return c.receive(i, packets[w], done)
		})
	}
}

// OpenLoop has the sessions send so many messages a second together, evenly spread over time and sessions, whether the
// echoes come or not. It counts echoes.
func (c *EchoLoad) OpenLoop(rate float64) Load {
	return func(ctx context.Context, done *atomic.Int64) error {
		was := done.Load()
		var receiving sync.WaitGroup
		errs := make([]error, len(c.sessions))
		for i, session := range c.sessions {
			_ = session.SetReadDeadline(time.Time{}) // of a load before this one
			receiving.Go(func() { errs[i] = c.receiveAll(i, done) })
		}
		sent, err := c.sendPaced(ctx, time.Duration(float64(time.Second)/rate))
		for late := time.Now().Add(patience); done.Load()-was < sent && time.Now().Before(late); {
			time.Sleep(time.Millisecond)
		}
		if missing := sent - (done.Load() - was); missing > 0 && err == nil {
			err = fmt.Errorf("%d messages have not come back", missing)
		}
		for _, session := range c.sessions {
			_ = session.SetReadDeadline(time.Now()) // fails when the session has ended, which receiveAll returns
		}
		receiving.Wait()
		return errors.Join(append(errs, err)...)
	}
}

// sendPaced sends a message every pace, and returns how many it has sent.
func (c *EchoLoad) sendPaced(ctx context.Context, pace time.Duration) (sent int64, err error) {
	var sending sync.WaitGroup
	begin, counts, errs := time.Now(), make([]int64, senders), make([]error, senders)
	for s := range senders {
		sending.Go(func() {
			packet := c.packet()
			for n := s; ctx.Err() == nil && errs[s] == nil; n += senders {
				time.Sleep(time.Until(begin.Add(time.Duration(n) * pace)))
				errs[s] = c.send(n%len(c.sessions), packet)
				counts[s]++
			}
		})
	}
	sending.Wait()
	for _, n := range counts {
		sent += n
	}
	return sent, errors.Join(errs...)
}

func (c *EchoLoad) packet() []byte {
	return wire.AppendPublish(nil, wire.Echo, make([]byte, c.size))
}

// send stamps a packet with the time and sends it.
func (c *EchoLoad) send(i int, packet []byte) error {
	binary.BigEndian.PutUint64(packet[len(packet)-c.size:], uint64(time.Since(c.began)))
	if _, err := c.sessions[i].Write(packet); err != nil {
		return fmt.Errorf("sending: %w", err)
	}
	return nil
}

// receive takes one echo; buf has the size of a packet.
func (c *EchoLoad) receive(i int, buf []byte, done *atomic.Int64) error {
	if _, err := io.ReadFull(c.sessions[i], buf); err != nil {
		return fmt.Errorf("receiving: %w", err)
	}
	c.add(i, time.Duration(binary.BigEndian.Uint64(buf[len(buf)-c.size:])))
	done.Add(1)
	return nil
}

// receiveAll takes echoes until the deadline that OpenLoop sets.
func (c *EchoLoad) receiveAll(i int, done *atomic.Int64) error {
	for buf := c.packet(); ; {
		err := c.receive(i, buf, done)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil
		case err != nil:
			return err
		}
	}
}
