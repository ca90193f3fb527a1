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
	"os"
	"os/exec"
	"path/filepath"

	"github.com/vernegate/vernegate/bench/load"
	"github.com/vernegate/vernegate/bench/peer"
	"github.com/vernegate/vernegate/e2e/stack"
)

// A post is where a far process stands, which it is told before its first order.
type post struct {
	Addr    string // host:port of its vernegate, shared with those of other far processes
	Files   peer.Files
	ACLURL  string
	Devices []identity // that it has connect
}

// An identity is what a device shows: a certificate and its key, in DER and PKCS #8.
type identity struct{ Cert, Key []byte }

// identify returns what devices show.
func identify(devices []tls.Certificate) ([]identity, error) {
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

// certificates is the reverse of identify.
func certificates(shown []identity) ([]tls.Certificate, error) {
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

// An order tells a far process what to do; its fields are done in their order.
type order struct {
	Sessions int // how many there are to be; never fewer than before
	UnderWay int // messages that are to be under way between them at any time; 0 = none
}

// An account is the answer to an order. The sessions of a far process need not be those of its vernegate; over all that
// share an address, it is the same.
type account struct {
	Memory   int64   // bytes that its vernegate held when the order came, or when its sessions had been opened
	CPU      float64 // seconds that it has used for the messages
	Messages int64
	P99      float64 // seconds of their round trips, 99th percentile
	Err      string  // why the order could not be followed; "" = it was
}

// far is a vernegate with a broker, and devices, in a process of its own: descriptors are counted by process, and
// there is to be more than one vernegate. It follows orders from its standard input until that ends.
func far(ctx context.Context, o *options, out io.Writer) (err error) {
	orders, answers := json.NewDecoder(os.Stdin), json.NewEncoder(out)
	var at post
	if err := orders.Decode(&at); err != nil {
		return err
	}
	t, err := at.take(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.end()) }()
	fleet := &load.Fleet{Addr: at.Addr, Devices: t.devices}
	var sessions load.Sessions
	defer func() { sessions.Close() }()
	for {
		var next order
		if err := orders.Decode(&next); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		a, err := t.follow(ctx, next, fleet, &sessions)
		if err != nil {
			a.Err = err.Error()
		}
		if err := answers.Encode(a); err != nil {
			return err
		}
	}
}

// take starts the vernegate of a post, and its broker. The caller ends the trial.
func (p *post) take(ctx context.Context, o *options) (*trial, error) {
	devices, err := certificates(p.Devices)
	if err != nil {
		return nil, err
	}
	proxyCPUs, err := standApart()
	if err != nil {
		return nil, err
	}
	// The folder and certificate-acl are those of the process that gives the orders, which clears up.
	s := &stand{dir: filepath.Dir(p.Files.Cert), acl: &stack.ACL{URL: p.ACLURL}, proxyCPUs: proxyCPUs, devices: devices}
	return s.tryAt(ctx, p.Addr, peer.Kinds(o.vernegate, "")[0], p.Files, &o.effort, map[string]string{"VERNEGATE_REUSE_PORT": "true"})
}

func (t *trial) follow(ctx context.Context, o order, fleet *load.Fleet, sessions *load.Sessions) (a account, err error) {
	if missing := o.Sessions - len(*sessions); missing > 0 {
		more, err := fleet.Open(len(*sessions), missing)
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

// startFollower starts a far process and tells it its post. The caller ends it.
func startFollower(ctx context.Context, o *options, at *post) (*follower, error) {
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
	f := &follower{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := f.orders.Encode(at); err != nil {
		return nil, errors.Join(err, f.end())
	}
	return f, nil
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
