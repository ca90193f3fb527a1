// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command bench measures what vernegate costs.
//
//	bench compare   side by side with other proxies in front of the same broker: a table, and a chart
//	bench scale     how that grows with sessions, revoked certificates, CAs and owners: docs/performance.md
//	bench crowd     what 100 000 sessions cost, and what becomes of them when something happens: docs/performance.md
//
// scale and crowd start themselves with further commands, worker and crowd-worker.
//
// Figures are processor time of all processes of a proxy, user and system, for each unit of work, unless they say
// otherwise. The proxies run on one processor and everything else on the others. Throughput would say as much about
// the load as about the proxies.
//
// It runs from the root of the module, on Linux, with the binary that make build makes. Other proxies take part where
// they are installed. What a shared machine does to one proxy it does to the others, so what counts are the ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

// Options are what is asked for.
type options struct {
	effort    effort
	brief     bool
	rows      *regexp.Regexp // keys of what is to be measured
	write     bool           // into the documents
	vernegate string         // path of the binary
	haproxies []string       // paths of the binaries of more HAProxies than the installed one
}

// peerVariable names the binary of one more HAProxy, such as a newer build.
const peerVariable = "PEER_HAPROXY"

// everything matches the keys of all rows.
const everything = "."

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	commands := map[string]func(context.Context, *options, io.Writer) error{
		"compare": compare, "scale": scale, "worker": runWorker, "crowd": measureCrowd, crowdWorkerName: runCrowdWorker,
	}
	if len(args) == 0 || commands[args[0]] == nil {
		return errors.New("want compare, scale or crowd")
	}
	o, err := parse(args[0], args[1:])
	if err != nil {
		return err
	}
	return commands[args[0]](ctx, o, out)
}

func parse(name string, args []string) (*options, error) {
	o := &options{effort: thorough}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.BoolVar(&o.brief, "brief", false, "only see that everything runs; the figures mean nothing")
	rounds := flags.Int("rounds", thorough.rounds, "how often each proxy is measured, in turns")
	pattern := flags.String("rows", everything, "regular expression of the rows to measure; the others are left out")
	flags.BoolVar(&o.write, "write", false, "put tables and charts into the documents")
	sessions := flags.Int("sessions", thorough.crowd, "how many sessions a crowd has")
	flags.StringVar(&o.vernegate, "vernegate", "bin/vernegate", "the binary to measure")
	if err := flags.Parse(args); err != nil {
		return nil, err // which it has printed, with what there is
	}
	if bin := os.Getenv(peerVariable); bin != "" {
		o.haproxies = []string{bin}
	}
	var err error
	if o.rows, err = regexp.Compile(*pattern); err != nil {
		return nil, err
	}
	o.effort.rounds, o.effort.crowd = max(1, *rounds), max(thorough.crowdRevoked, *sessions)
	if o.brief {
		o.effort = brief
	}
	switch {
	case o.write && o.brief:
		return nil, errors.New("what a brief bench says is not worth writing down")
	case o.write && *sessions != thorough.crowd:
		return nil, fmt.Errorf("the tables are about %d sessions", thorough.crowd)
	case o.write && name == "compare" && *pattern != everything:
		return nil, errors.New("a part of the rows would take the place of all of them")
	}
	return o, nil
}
