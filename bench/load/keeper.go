// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vernegate/vernegate/bench/wire"
)

// A Keeper keeps the devices of a fleet connected: a device that loses its connection connects again. Connected devices
// can send messages, whose echoes are timed. Its methods are safe for concurrent use.
type Keeper struct {
	fleet *Fleet
	began time.Time
	slots chan struct{} // of devices that connect at the same time
	rate  atomic.Int64  // messages a second

	devices   []keptDevice
	connected atomic.Int64 // of the devices

	mu    sync.Mutex
	taken Taken
	lost  int
}

// A keptDevice is one device. Only its own goroutine reads from its connection.
type keptDevice struct {
	mu        sync.Mutex // held while something is written
	conn      *tls.Conn  // nil = not connected
	dismissed bool       // it does not connect again
}

// Taken is what a Keeper has recorded since it was asked last, in microseconds.
type Taken struct {
	RoundTrips []uint32 // of messages
	Connects   []uint32 // from the TCP connection to the CONNACK
}

// Pauses of a device before it connects again; chosen at random up to these.
const (
	firstPause  = 500 * time.Millisecond // after it has lost its connection
	failedPause = 2 * time.Second        // after it could not connect
)

// writePatience is how long a message may take to be written. A proxy that was killed resets the connection at once.
const writePatience = 5 * time.Second

// idlePace is how often an idle sender looks whether there is something to send.
const idlePace = 50 * time.Millisecond

// NewKeeper makes a Keeper of all devices of a fleet, of which so many connect at a time.
func NewKeeper(f *Fleet, atOnce int) *Keeper {
	return &Keeper{fleet: f, began: time.Now(), slots: make(chan struct{}, atOnce), devices: make([]keptDevice, len(f.Devices))}
}

// Run keeps the devices connected until the context is done. It waits until all have left.
func (k *Keeper) Run(ctx context.Context) {
	var running sync.WaitGroup
	for n := range k.devices {
		running.Go(func() { k.keep(ctx, n) })
	}
	running.Go(func() { k.send(ctx) })
	<-ctx.Done()
	for n := range k.devices {
		k.close(&k.devices[n])
	}
	running.Wait()
}

// SetRate sets how many messages a second the connected devices send together, evenly spread over time and devices.
func (k *Keeper) SetRate(perSecond int) { k.rate.Store(int64(perSecond)) }

// Dismiss has the first n devices stay away once they have lost their connections.
func (k *Keeper) Dismiss(n int) {
	for i := range k.devices[:n] {
		d := &k.devices[i]
		d.mu.Lock()
		d.dismissed = true
		d.mu.Unlock()
	}
}

// Connected returns how many devices are connected now.
func (k *Keeper) Connected() int { return int(k.connected.Load()) }

// Lost returns how many connections have ended so far that were not to end.
func (k *Keeper) Lost() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// Take returns what was recorded since the last call.
func (k *Keeper) Take() Taken {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.taken
	k.taken = Taken{}
	return taken
}

// keep is the life of the n-th device.
func (k *Keeper) keep(ctx context.Context, n int) {
	d := &k.devices[n]
	for pause := time.Duration(0); d.wanted() && sleep(ctx, atRandom(pause)); {
		c, err := k.connect(ctx, n)
		if err != nil {
			pause = failedPause
			continue
		}
		k.receive(c)
		k.close(d)
		k.mu.Lock()
		k.lost++
		k.mu.Unlock()
		pause = firstPause
	}
}

// connect connects the n-th device as soon as there is a slot.
func (k *Keeper) connect(ctx context.Context, n int) (*tls.Conn, error) {
	select {
	case k.slots <- struct{}{}:
		defer func() { <-k.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	began := time.Now()
	c, err := k.fleet.Connect(n)
	if err != nil {
		return nil, err
	}
	took := uint32(time.Since(began).Microseconds())
	k.mu.Lock()
	k.taken.Connects = append(k.taken.Connects, took)
	k.mu.Unlock()
	if !k.devices[n].open(ctx, c) {
		_ = c.Close()
		return nil, errors.New("no longer wanted")
	}
	k.connected.Add(1)
	return c, nil
}

// close ends the connection of a device, if it has one.
func (k *Keeper) close(d *keptDevice) {
	if d.close() {
		k.connected.Add(-1)
	}
}

// receive takes echoes until the connection ends.
func (k *Keeper) receive(c *tls.Conn) {
	for buf := newStamped(); ; {
		if _, err := io.ReadFull(c, buf); err != nil {
			return
		}
		took := uint32((time.Since(k.began) - stamped(buf)).Microseconds())
		k.mu.Lock()
		k.taken.RoundTrips = append(k.taken.RoundTrips, took)
		k.mu.Unlock()
	}
}

// send sends messages at the rate, from one connected device after the other.
func (k *Keeper) send(ctx context.Context) {
	packet, next, due := newStamped(), 0, time.Now()
	for {
		rate := k.rate.Load()
		if rate == 0 {
			if due = time.Now().Add(idlePace); !sleep(ctx, idlePace) {
				return
			}
			continue
		}
		if !sleep(ctx, time.Until(due)) {
			return
		}
		stamp(packet, time.Since(k.began))
		for range k.devices {
			next = (next + 1) % len(k.devices)
			if k.devices[next].write(packet) {
				break
			}
		}
		due = due.Add(time.Second / time.Duration(rate))
	}
}

// open makes c the connection of the device, and reports whether it is still to have one.
func (d *keptDevice) open(ctx context.Context, c *tls.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ctx.Err() != nil || d.dismissed {
		return false
	}
	d.conn = c
	return true
}

// write sends a packet. It reports whether the device is connected.
func (d *keptDevice) write(packet []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return false
	}
	_ = d.conn.SetWriteDeadline(time.Now().Add(writePatience))
	_, err := d.conn.Write(packet)
	return err == nil // else its own goroutine notices
}

// close reports whether the device was connected.
func (d *keptDevice) close() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return false
	}
	_ = d.conn.NetConn().Close()
	d.conn = nil
	return true
}

func (d *keptDevice) wanted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.dismissed
}

// sleep waits, and reports whether the context is not done.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// newStamped returns a message that carries the time when it was sent.
func newStamped() []byte { return wire.AppendPublish(nil, wire.Echo, make([]byte, keptSize)) }

// keptSize is that of a payload, in bytes.
const keptSize = 64

func stamp(packet []byte, at time.Duration) {
	binary.BigEndian.PutUint64(packet[len(packet)-keptSize:], uint64(at))
}

func stamped(packet []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint64(packet[len(packet)-keptSize:]))
}

// atRandom returns a part of a pause, so that devices do not all connect at the same moment.
func atRandom(pause time.Duration) time.Duration {
	if pause == 0 {
		return 0
	}
	return rand.N(pause)
}
