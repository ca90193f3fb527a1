// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"

	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
)

// An order tells a far process what to do; its fields are done in their order.
type order struct {
	Sessions int // how many there are to be; never fewer than before
	UnderWay int // messages that are to be under way between them at any time; 0 = none
}

// An account is the answer to an order.
type account struct {
	Memory   int64   // bytes that vernegate holds when the sessions are there
	CPU      float64 // seconds that it has used for the messages
	Messages int64
	P99      float64 // seconds of their round trips, 99th percentile
	Err      string  // why the order could not be followed; "" = it was
}

// far is a vernegate with a broker and devices of its own, in a process of its own: descriptors are counted by
// process, and there is to be more than one vernegate. It follows orders from its standard input until that ends.
func far(ctx context.Context, o *options, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "vernegate-far")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s, err := newStandApart(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	t, err := s.try(ctx, peer.Kinds(o.vernegate, "")[0], s.ecdsa, &o.effort, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.end()) }()

	var sessions load.Sessions
	defer func() { sessions.Close() }()
	for orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(out); ; {
		var next order
		if err := orders.Decode(&next); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		a, err := t.follow(ctx, next, &sessions)
		if err != nil {
			a.Err = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

func (t *trial) follow(ctx context.Context, o order, sessions *load.Sessions) (a account, err error) {
	if missing := o.Sessions - len(*sessions); missing > 0 {
		more, err := t.fleet(t.proxy, o.Sessions).Open(len(*sessions), missing)
		if err != nil {
			return a, err
		}
		*sessions = append(*sessions, more...)
		if err := rest(ctx, t.effort.settle, nil); err != nil {
			return a, err
		}
	}
	if a.Memory, err = t.proxy.Memory(); err != nil || o.UnderWay == 0 {
		return a, err
	}
	c := load.NewChatter(*sessions, messageSize)
	s, err := t.watch(ctx, c.Tour(o.UnderWay), t.effort.chatter, nil)
	a.CPU, a.Messages = s.cpu.Seconds(), s.units
	a.P99 = load.Percentile(c.Took(t.effort.warmUp, c.Elapsed()), .99).Seconds()
	return a, err
}

// A follower is a far process, seen from the one that started it.
type follower struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	orders  *json.Encoder
	answers *json.Decoder
}

// startFollower starts a far process. The caller ends it.
func startFollower(ctx context.Context, o *options) (*follower, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "far", "-vernegate", o.vernegate)
	if o.brief {
		cmd.Args = append(cmd.Args, "-brief")
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it has a vernegate to stop
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &follower{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, cmd.Start()
}

// order has it follow an order.
func (f *follower) order(o order) (account, error) {
	if err := f.orders.Encode(o); err != nil {
		return account{}, err
	}
	var a account
	err := f.answers.Decode(&a)
	if err == nil && a.Err != "" {
		err = errors.New(a.Err)
	}
	return a, err
}

func (f *follower) end() error { return errors.Join(f.stdin.Close(), f.cmd.Wait()) }
