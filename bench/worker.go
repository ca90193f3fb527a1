// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/e2e/stack"
)

// A workerConfig is what a worker reads before its first command.
type workerConfig struct {
	Addr    string // host:port of its vernegate, shared with those of other workers
	Files   peer.Files
	ACLURL  string
	Devices []identity // that the worker connects
	From    netip.Addr // where they connect from; the zero Addr = any
	Env     map[string]string
}

// An identity is what a device shows: a certificate and its key, in DER and PKCS #8.
type identity struct{ Cert, Key []byte }

// encodeIdentities encodes certificates for a workerConfig.
func encodeIdentities(devices []tls.Certificate) ([]identity, error) {
	shown := make([]identity, len(devices))
	for i, d := range devices {
		key, err := x509.MarshalPKCS8PrivateKey(d.PrivateKey)
		if err != nil {
			return nil, err
		}
		shown[i] = identity{d.Certificate[0], key}
	}
	return shown, nil
}

// decodeIdentities is the reverse of encodeIdentities.
func decodeIdentities(shown []identity) ([]tls.Certificate, error) {
	devices := make([]tls.Certificate, len(shown))
	for i, id := range shown {
		key, err := x509.ParsePKCS8PrivateKey(id.Key)
		if err != nil {
			return nil, err
		}
		devices[i] = tls.Certificate{Certificate: [][]byte{id.Cert}, PrivateKey: key}
	}
	return devices, nil
}

// A command tells a worker what to do. The worker handles the fields in this order.
type command struct {
	Sessions int // how many there are to be; never fewer than before
	UnderWay int // messages that are to be under way between them at any time; 0 = none
}

// A report answers a command. The kernel may connect a worker's devices to the vernegate of another worker at the same
// address, so only sums over all workers are meaningful.
type report struct {
	Memory   int64   // bytes that its vernegate held when the command came, or when its sessions had been opened
	CPU      float64 // seconds that it has used for the messages
	Messages int64
	P99      float64 // seconds of their round trips, 99th percentile
	Err      string  // why the command failed; "" = it did not
}

// runWorker runs a vernegate with a broker, and devices, in a process of its own: descriptors are limited per process,
// and there can be several vernegates this way. It executes commands from standard input until that ends.
func runWorker(ctx context.Context, o *options, out io.Writer) (err error) {
	commands := json.NewDecoder(os.Stdin)
	config, t, err := startTrialOf(ctx, commands, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	fleet := &load.Fleet{Addr: config.Addr, Devices: t.devices}
	var sessions load.Sessions
	defer func() { sessions.Close() }()
	return serveCommands(commands, out, func(c command) report {
		r, err := t.execute(ctx, c, fleet, &sessions)
		if err != nil {
			r.Err = err.Error()
		}
		return r
	})
}

// startTrialOf reads the config of a worker and starts what it says. The caller ends the trial.
func startTrialOf(ctx context.Context, commands *json.Decoder, o *options) (config workerConfig, t *trial, err error) {
	if err := commands.Decode(&config); err != nil {
		return config, nil, err
	}
	t, err = config.start(ctx, o)
	return config, t, err
}

// serveCommands executes commands and writes their reports, until there are no more.
func serveCommands[C, R any](commands *json.Decoder, out io.Writer, execute func(C) R) error {
	reports := json.NewEncoder(out)
	for {
		var next C
		if err := commands.Decode(&next); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := reports.Encode(execute(next)); err != nil {
			return err
		}
	}
}

// start starts the vernegate and its broker. The caller ends the trial.
func (c *workerConfig) start(ctx context.Context, o *options) (*trial, error) {
	devices, err := decodeIdentities(c.Devices)
	if err != nil {
		return nil, err
	}
	proxyCPUs, err := pinCPUs()
	if err != nil {
		return nil, err
	}
	// The folder and certificate-acl are those of the process that sends the commands; it removes them.
	s := &testbed{dir: filepath.Dir(c.Files.Cert), acl: &stack.ACL{URL: c.ACLURL}, proxyCPUs: proxyCPUs, devices: devices}
	env := map[string]string{"VERNEGATE_REUSE_PORT": "true"}
	maps.Copy(env, c.Env)
	return s.startTrialAt(ctx, c.Addr, peer.Kinds(o.vernegate, "")[0], c.Files, &o.effort, env)
}

// execute opens the sessions that are missing, reads memory, and runs the echo load if the command asks for it.
func (t *trial) execute(ctx context.Context, c command, fleet *load.Fleet, sessions *load.Sessions) (r report, err error) {
	if missing := c.Sessions - len(*sessions); missing > 0 {
		more, err := fleet.Open(len(*sessions), missing)
		if err != nil {
			return r, err
		}
		*sessions = append(*sessions, more...)
		if err := wait(ctx, t.effort.settle, nil); err != nil {
			return r, err
		}
	}
	if r.Memory, err = t.proxy.Memory(); err != nil || c.UnderWay == 0 {
		return r, err
	}
	echoes := load.NewEchoLoad(*sessions, messageSize)
	s, err := t.measureLoad(ctx, echoes.ClosedLoop(c.UnderWay), t.effort.echo, nil)
	r.CPU, r.Messages = s.cpu.Seconds(), s.units
	r.P99 = load.Percentile(echoes.Durations(t.effort.warmUp, echoes.Elapsed()), .99).Seconds()
	return r, err
}

// A workerProcess is a worker as the process sees it that started it.
type workerProcess struct {
	cmd      *exec.Cmd
	stdin    io.Closer
	commands *json.Encoder
	reports  *json.Decoder
}

// startWorker starts a worker, by the name of its command, and sends its config. The caller ends it.
func startWorker(ctx context.Context, o *options, name string, config *workerConfig) (*workerProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, name, "-vernegate", o.vernegate)
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
	f := &workerProcess{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := f.commands.Encode(config); err != nil {
		return nil, errors.Join(err, f.end())
	}
	return f, nil
}

// do sends a command and waits for its report.
func (f *workerProcess) do(c command) (report, error) {
	var r report
	err := f.exchange(c, &r)
	if err == nil && r.Err != "" {
		err = errors.New(r.Err)
	}
	return r, err
}

// exchange sends a command and decodes its report.
func (f *workerProcess) exchange(command, report any) error {
	if err := f.commands.Encode(command); err != nil {
		return err
	}
	return f.reports.Decode(report)
}

func (f *workerProcess) end() error { return errors.Join(f.stdin.Close(), f.cmd.Wait()) }
