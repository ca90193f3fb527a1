// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vernegate/vernegate/bench/chart"
	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/e2e/stack"
	"github.com/vernegate/vernegate/truststore/certtest"
)

// Limits of how long the phases of a crowd may take.
const (
	crowdPoll    = 250 * time.Millisecond
	crowdReturn  = 10 * time.Minute // of all devices
	crowdRevoke  = time.Minute      // of a CRL that ends sessions
	crowdStop    = 10 * time.Second // of a vernegate, after it has drained
	crowdCalm    = 10 * time.Second // messages before something happens, for comparison
	crowdSources = 16               // loopback addresses that devices connect from
)

// A crowd is many devices that stay connected to several vernegates at one address, each in a process of its own with a
// broker and a part of the devices.
type crowd struct {
	*options
	out     io.Writer
	bed     *testbed
	workers []*workerProcess
	table   grid
	coming  []chart.Line // how long it took until each tenth of the devices was there
}

// measureCrowd takes a crowd through its days, and says what that costs.
func measureCrowd(ctx context.Context, o *options, out io.Writer) (err error) {
	if err := enoughFor(o.effort.crowd); err != nil {
		return err
	}
	kind := peer.Kinds(o.vernegate, "")[0]
	if kind.Missing != "" {
		return fmt.Errorf("there is no %s: %s", o.vernegate, kind.Missing)
	}
	dir, err := os.MkdirTemp("", "vernegate-crowd")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	env, err := newEnvironment()
	if err != nil {
		return err
	}
	bed, err := newTestbed(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bed.close()) }()
	c := &crowd{options: o, out: out, bed: bed, table: grid{head: []string{"what", "figure"}}}
	defer func() { err = errors.Join(err, c.end()) }()
	if err := c.live(ctx); err != nil {
		return err
	}
	report := fmt.Sprintf("%s\n%s, %s.\n", c.table.markdown(), env.began.UTC().Format(time.DateOnly), peer.Machine())
	fmt.Fprintf(out, "\n%s", report)
	if !o.write {
		return nil
	}
	return errors.Join(rewrite(documentFile, "crowd", report), c.draw())
}

// live is everything that happens to a crowd.
func (c *crowd) live(ctx context.Context) error {
	for _, phase := range []func(context.Context) error{
		c.start, c.come, c.hold, c.revoke, c.restartFull, c.restartResumed, c.roll,
	} {
		if err := phase(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start starts the workers. Their vernegates share ticket keys, so that sessions can be resumed after a restart.
func (c *crowd) start(ctx context.Context) error {
	n := c.effort.crowd
	keys, err := c.ticketKeys()
	if err != nil {
		return err
	}
	addr, err := stack.FreeAddr()
	if err != nil {
		return err
	}
	c.say("issuing %d certificates", n)
	c.bed.devices = c.bed.issueDevices(c.bed.ca, nil, n)
	devices, err := encodeIdentities(c.bed.devices)
	if err != nil {
		return err
	}
	processes := processesFor(n, c.effort.full)
	source := netip.MustParseAddr("127.0.0.1")
	for i := range processes {
		own := part(n, i, processes)
		w, err := startWorker(ctx, c.options, crowdWorkerName, &workerConfig{
			Addr: addr, Files: c.bed.ecdsa, ACLURL: c.bed.acl.URL, Devices: devices[:own], From: source,
			Env: map[string]string{"VERNEGATE_TICKET_KEYS": keys, "VERNEGATE_DRAIN_TIMEOUT": c.effort.crowdDrain.String()},
		})
		if err != nil {
			return err
		}
		c.workers, devices = append(c.workers, w), devices[own:]
		if source = source.Next(); i%crowdSources == crowdSources-1 {
			source = netip.MustParseAddr("127.0.0.1")
		}
	}
	c.table.add("sessions", strconv.Itoa(n))
	c.table.add("vernegate processes at one address", strconv.Itoa(processes))
	return nil
}

func (c *crowd) ticketKeys() (file string, err error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	file = filepath.Join(c.bed.dir, "ticket.keys")
	return file, os.WriteFile(file, []byte(hex.EncodeToString(key)+"\n"), 0o600)
}

// come connects all devices for the first time.
func (c *crowd) come(ctx context.Context) error {
	empty, err := c.tell(crowdCommand{Memory: true})
	if err != nil {
		return err
	}
	kernel, err := peer.KernelMemory()
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := c.tell(crowdCommand{Come: true}); err != nil {
		return err
	}
	connects, err := c.untilAll(ctx, began)
	if err != nil {
		return err
	}
	c.coming = append(c.coming, chart.Line{Name: "for the first time", Y: tenths(connects.arrivals)})
	c.table.add("all connected for the first time", seconds(connects.elapsed.Seconds()))
	c.table.add("… a connection, p50 / p99", quantiles(connects.connects, .5, .99))
	c.table.add("… processor time of all vernegates", seconds(connects.cpu-empty.cpu))
	if err := wait(ctx, c.effort.settle, nil); err != nil {
		return err
	}
	full, err := c.tell(crowdCommand{Memory: true})
	if err != nil {
		return err
	}
	kernelFull, err := peer.KernelMemory()
	if err != nil {
		return err
	}
	n := float64(c.effort.crowd)
	c.table.add("memory of all vernegates", number(float64(full.memory)*mega)+" MB")
	c.table.add("… of a session", number(float64(full.memory-empty.memory)/n*kilo)+" kB")
	c.table.add("kernel memory for the four sockets of a session", number(float64(kernelFull-kernel)/n*kilo)+" kB")
	return nil
}

// hold has the devices send messages for a long time.
func (c *crowd) hold(ctx context.Context) error {
	before, err := c.tell(crowdCommand{Rate: c.rate(c.effort.crowdRate)})
	if err != nil {
		return err
	}
	began := time.Now()
	held, err := c.during(ctx, c.effort.crowdHold, nil)
	if err != nil {
		return err
	}
	busy := (held.cpu - before.cpu) / time.Since(began).Seconds()
	c.table.add(fmt.Sprintf("held for %v with %d messages a second, sessions lost", c.effort.crowdHold, c.effort.crowdRate),
		strconv.Itoa(held.lost-before.lost))
	c.table.add("… messages that came back", strconv.Itoa(len(held.trips)))
	c.table.add("… round trip p50 / p99 / p99.9", quantiles(held.trips, .5, .99, .999))
	c.table.add("… processors that all vernegates keep busy", number(busy))
	return nil
}

// revoke publishes a CRL that names some devices of the first worker.
func (c *crowd) revoke(ctx context.Context) error {
	n := c.effort.crowdRevoked
	if err := c.workers[0].exchange(crowdCommand{Dismiss: n}, new(crowdReport)); err != nil {
		return err
	}
	revoked := make([]*x509.Certificate, n)
	for i := range revoked {
		leaf, err := x509.ParseCertificate(c.bed.devices[i].Certificate[0])
		if err != nil {
			return err
		}
		revoked[i] = leaf
	}
	list := certtest.PEMEncodeCRL(c.bed.ca.CRL(certtest.CRLOptions{Number: 2, Revoked: revoked}))
	began := time.Now()
	if err := os.WriteFile(c.bed.ecdsa.CRL, list, 0o600); err != nil {
		return err
	}
	c.effort.crowd -= n
	ended, err := c.until(ctx, began, crowdRevoke, func(s crowdSum) bool { return s.connected <= c.effort.crowd })
	if err != nil {
		return err
	}
	c.table.add(fmt.Sprintf("a CRL that revokes %d of them, until the last one is closed", n), seconds(ended.elapsed.Seconds()))
	c.table.add("… round trip p99 meanwhile", quantiles(ended.trips, .99))
	return nil
}

func (c *crowd) restartFull(ctx context.Context) error {
	return c.restart(ctx, "full handshakes", true)
}

func (c *crowd) restartResumed(ctx context.Context) error { return c.restart(ctx, "resumed", false) }

// restart kills all vernegates at the same moment, and starts them again.
func (c *crowd) restart(ctx context.Context, name string, full bool) error {
	calm, err := c.during(ctx, min(crowdCalm, c.effort.crowdHold), &crowdCommand{Full: &full})
	if err != nil {
		return err
	}
	if _, err := c.tell(crowdCommand{Kill: true}); err != nil {
		return err
	}
	began := time.Now()
	if _, err := c.tell(crowdCommand{Start: true}); err != nil {
		return err
	}
	back, err := c.untilAll(ctx, began)
	if err != nil {
		return err
	}
	c.coming = append(c.coming, chart.Line{Name: "again, " + name, Y: tenths(back.arrivals)})
	usual, storm := quantile(calm.trips, .99), quantile(back.trips, .99)
	c.table.add("all killed and started again: all are back, "+name, seconds(back.elapsed.Seconds()))
	c.table.add("… a connection, p50 / p99", quantiles(back.connects, .5, .99))
	c.table.add("… processor time of all vernegates, messages included", seconds(back.cpu))
	c.table.add("… round trip p99 of those that are back, × the usual", fmt.Sprintf("%s, %s", milliseconds(storm)+" ms", number(float64(storm)/float64(usual))))
	return nil
}

// roll replaces one vernegate after the other; each drains.
func (c *crowd) roll(ctx context.Context) error {
	before, err := c.tell(crowdCommand{})
	if err != nil {
		return err
	}
	began := time.Now()
	var all crowdSum
	for _, w := range c.workers {
		var r crowdReport
		if err := w.exchange(crowdCommand{Drain: c.effort.crowdDrain + crowdStop, Start: true}, &r); err != nil || r.Err != "" {
			return errors.Join(err, errors.New("replacing a vernegate: "+r.Err))
		}
		all.add(&r)
		back, err := c.untilAll(ctx, began)
		if err != nil {
			return err
		}
		all.record(back)
	}
	now, err := c.tell(crowdCommand{})
	if err != nil {
		return err
	}
	c.table.add(fmt.Sprintf("one replaced after the other, with %v to drain each: all are done", c.effort.crowdDrain), seconds(time.Since(began).Seconds()))
	c.table.add("… sessions that had to connect again", strconv.Itoa(now.lost-before.lost))
	c.table.add("… a connection, p50 / p99", quantiles(all.connects, .5, .99))
	c.table.add("… round trip p99 meanwhile", quantiles(all.trips, .99))
	return nil
}

// rate divides a rate among the workers.
func (c *crowd) rate(perSecond int) *int {
	each := max(1, perSecond/len(c.workers))
	return &each
}

// untilAll waits until all devices are connected.
func (c *crowd) untilAll(ctx context.Context, began time.Time) (crowdSum, error) {
	return c.until(ctx, began, crowdReturn, func(s crowdSum) bool { return s.connected >= c.effort.crowd })
}

// until waits until something holds, and returns what was recorded meanwhile. The time counts from began.
func (c *crowd) until(ctx context.Context, began time.Time, limit time.Duration, holds func(crowdSum) bool) (all crowdSum, err error) {
	for {
		now, err := c.tell(crowdCommand{})
		if err != nil {
			return all, err
		}
		all.record(now)
		all.connected, all.lost, all.cpu, all.elapsed = now.connected, now.lost, now.cpu, time.Since(began)
		all.arrivals = append(all.arrivals, arrival{all.elapsed, all.connected})
		if holds(now) {
			return all, nil
		}
		if all.elapsed > limit {
			return all, fmt.Errorf("%d of %d devices are connected after %v", now.connected, c.effort.crowd, limit)
		}
		if err := wait(ctx, crowdPoll, nil); err != nil {
			return all, err
		}
	}
}

// during returns what is recorded in a span of time, which begins with a command unless that is nil. It leaves the workers
// alone meanwhile: an answer takes processor time that the messages would feel.
func (c *crowd) during(ctx context.Context, d time.Duration, first *crowdCommand) (crowdSum, error) {
	if first == nil {
		first = &crowdCommand{}
	}
	if _, err := c.tell(*first); err != nil {
		return crowdSum{}, err
	}
	if err := wait(ctx, d, nil); err != nil {
		return crowdSum{}, err
	}
	return c.tell(crowdCommand{})
}

// tell sends a command to all workers at the same time.
func (c *crowd) tell(command crowdCommand) (sum crowdSum, err error) {
	reports := make([]crowdReport, len(c.workers))
	var working errgroup.Group
	for i, w := range c.workers {
		working.Go(func() error { return w.exchange(command, &reports[i]) })
	}
	if err := working.Wait(); err != nil {
		return sum, err
	}
	var errs []error
	for i := range reports {
		sum.add(&reports[i])
		if reports[i].Err != "" {
			errs = append(errs, errors.New(reports[i].Err))
		}
	}
	return sum, errors.Join(errs...)
}

func (c *crowd) say(format string, args ...any) { fmt.Fprintf(c.out, format+"\n", args...) }

func (c *crowd) end() error {
	var ending errgroup.Group
	for _, w := range c.workers {
		ending.Go(w.end)
	}
	return ending.Wait()
}
