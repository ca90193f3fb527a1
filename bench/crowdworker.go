// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/vernegate/vernegate/bench/load"
)

// crowdWorkerName is the command that runs a worker of a crowd.
const crowdWorkerName = "crowd-worker"

// A crowdCommand tells a worker of a crowd what to do. The worker handles the fields in this order.
type crowdCommand struct {
	Come    bool // the devices begin to connect
	Rate    *int // messages a second that its devices send
	Full    *bool
	Dismiss int           // so many of its first devices stay away once they have lost their connections
	Kill    bool          // its vernegate
	Drain   time.Duration // its vernegate ends orderly, and may take that long; 0 = it does not
	Start   bool          // another vernegate in its place
	Memory  bool          // is to be reported, which takes the kernel a while
}

// A crowdReport says how things stand after a command. What was recorded is since the report before.
type crowdReport struct {
	Connected int
	Lost      int
	CPU       float64 // seconds of the vernegate that runs now
	Memory    int64
	load.Taken
	Err string // why the command failed; "" = it did not
}

// A crowdWorker runs a vernegate with a broker, and devices that stay connected.
type crowdWorker struct {
	*trial
	fleet  *load.Fleet
	keeper *load.Keeper
	ended  chan struct{} // when the keeper has ended; nil before it runs
}

// atOnceOfWorker is how many devices of one worker connect at the same time.
const atOnceOfWorker = 8

// runCrowdWorker executes commands from standard input until that ends.
func runCrowdWorker(ctx context.Context, o *options, out io.Writer) (err error) {
	commands := json.NewDecoder(os.Stdin)
	config, t, err := startTrialOf(ctx, commands, o)
	if err != nil {
		return err
	}
	ctx, leave := context.WithCancel(ctx)
	w := &crowdWorker{trial: t, fleet: &load.Fleet{Addr: config.Addr, Devices: t.devices, Resume: true, From: config.From}}
	w.keeper = load.NewKeeper(w.fleet, atOnceOfWorker)
	defer func() {
		leave()
		if w.ended != nil {
			<-w.ended
		}
		err = errors.Join(err, t.end())
	}()
	return serveCommands(commands, out, func(c crowdCommand) crowdReport {
		err := w.execute(ctx, c)
		r, reportErr := w.report(c.Memory)
		if err := errors.Join(err, reportErr); err != nil {
			r.Err = err.Error()
		}
		return r
	})
}

func (w *crowdWorker) execute(ctx context.Context, c crowdCommand) error {
	if c.Come {
		w.ended = make(chan struct{})
		go func() {
			w.keeper.Run(ctx)
			close(w.ended)
		}()
	}
	if c.Rate != nil {
		w.keeper.SetRate(*c.Rate)
	}
	if c.Full != nil {
		w.fleet.SetFull(*c.Full)
	}
	w.keeper.Dismiss(c.Dismiss)
	if c.Kill {
		if err := w.proxy.Kill(); err != nil {
			return err
		}
	}
	if c.Drain > 0 {
		if err := w.proxy.Drain(c.Drain); err != nil {
			return err
		}
	}
	if c.Start {
		return w.startProxy(ctx)
	}
	return nil
}

func (w *crowdWorker) report(memory bool) (r crowdReport, err error) {
	r = crowdReport{Connected: w.keeper.Connected(), Lost: w.keeper.Lost(), Taken: w.keeper.Take()}
	if cpu, err := w.proxy.CPU(); err == nil { // else it has ended
		r.CPU = cpu.Seconds()
	}
	if memory {
		r.Memory, err = w.proxy.Memory()
	}
	return r, err
}
