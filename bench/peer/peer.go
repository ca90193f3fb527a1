// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package peer starts the proxies that the bench holds side by side, each before the same broker, with the same
// certificates and on the same processor, and measures what they cost.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

// CPUs are numbers of processors; none of them means any.
type CPUs []int

// A Setup is where a proxy is put. All of it is read only.
type Setup struct {
	Dir     string // for what the proxy is configured with
	Addr    string // host:port where it listens; "" = a free port of loopback
	Files   Files
	Backend string            // the broker's host:port
	ACLURL  string            // of certificate-acl, for those who ask it
	Env     map[string]string // for vernegate, beside what the fields above say
	CPUs    CPUs
}

// Threads is how many threads or processes a proxy gets that has to be told.
func (s *Setup) Threads() int { return max(1, len(s.CPUs)) }

// Files name what the proxies read; all of it is PEM.
type Files struct {
	Cert, Key string // of the server
	Pair      string // both in one file
	CA        string // bundle
	CRL       string // one list for each CA of the bundle
}

// A Kind is a proxy that can be started.
type Kind struct {
	Name string
	// Missing says what is not there that Start needs; "" = nothing.
	Missing string
	Version string // "" = that of this module
	Plain   bool   // clients come without TLS
	Asked   bool   // somebody has named its binary; the others take part where they are installed

	// command writes the configuration and returns what runs the proxy on addr. Nothing of the environment of
	// this process is handed on but PATH.
	command func(setup *Setup, addr string) (*exec.Cmd, error)
}

// A Proxy is a running proxy.
type Proxy struct {
	Addr  string // host:port where clients connect
	Admin string // host:port of vernegate's admin server, "" for the others

	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// startTime is how long a proxy may take until it accepts; vernegate with a million revoked certificates takes seconds.
const startTime = 30 * time.Second

// Start starts the proxy and waits until it accepts. What it prints goes nowhere. The caller stops it.
func (k *Kind) Start(ctx context.Context, setup *Setup) (*Proxy, error) {
	p, err := k.start(ctx, setup)
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", k.Name, err)
	}
	return p, nil
}

func (k *Kind) start(ctx context.Context, setup *Setup) (*Proxy, error) {
	addr := setup.Addr
	if addr == "" {
		var err error
		if addr, err = stack.FreeAddr(); err != nil {
			return nil, err
		}
	}
	cmd, err := k.command(setup, addr)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	if err := setup.CPUs.within(cmd.Start); err != nil {
		return nil, err
	}
	p := &Proxy{Addr: addr, Admin: adminAddr(cmd), name: k.Name, cmd: cmd, done: make(chan struct{})}
	go p.reap()
	if err := p.accepting(ctx); err != nil {
		_ = p.Stop() // what is wrong is known
		return nil, fmt.Errorf("%w\n%s", err, again(ctx, cmd))
	}
	return p, nil
}

// again runs a program once more for its words, which nobody has heard.
func again(ctx context.Context, mute *exec.Cmd) []byte {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, mute.Path, mute.Args[1:]...)
	cmd.Env = mute.Env
	words, _ := cmd.CombinedOutput() // it is expected to fail
	return words
}

// adminAddr finds the address of the admin server in vernegate's environment.
func adminAddr(cmd *exec.Cmd) string {
	for _, variable := range cmd.Env {
		if addr, ok := strings.CutPrefix(variable, "VERNEGATE_ADMIN="); ok {
			return addr
		}
	}
	return ""
}

// reap waits for the end of the program, and ends with it.
func (p *Proxy) reap() {
	_ = p.cmd.Wait() // how it ended does not matter: who still needs it will notice
	close(p.done)
}

// accepting waits until a client can connect.
func (p *Proxy) accepting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	for !p.accepts(ctx) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return errors.New("it does not accept")
		}
	}
	return nil
}

// accepts asks vernegate, as it may share its address with another one that accepts; the others are connected to.
func (p *Proxy) accepts(ctx context.Context) bool {
	if p.Admin != "" {
		v := stack.Vernegate{Admin: p.Admin}
		status, err := v.Status(ctx, "/readyz")
		return err == nil && status == http.StatusOK
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", p.Addr)
	if err == nil {
		err = c.Close()
	}
	return err == nil
}

// CPU returns the processor time that the proxy has used so far, user and system, with all of its processes.
func (p *Proxy) CPU() (time.Duration, error) {
	t, err := processTime(p.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	return t, nil
}

// Memory returns the bytes that the proxy holds now, with all of its processes: the proportional set size.
func (p *Proxy) Memory() (int64, error) {
	m, err := processMemory(p.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.name, err)
	}
	return m, nil
}

// stopTime is how long a proxy may take to end when it is asked to.
const stopTime = 3 * time.Second

// Stop ends the proxy and waits until it is gone. A second call does no harm.
func (p *Proxy) Stop() error { return p.Drain(stopTime) }

// Drain ends the proxy, which may take that long for what it has to do before, and waits until it is gone.
func (p *Proxy) Drain(patience time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
		return nil
	case <-time.After(patience):
		return p.Kill()
	}
}

// Kill ends the proxy without asking, and waits until it is gone.
func (p *Proxy) Kill() error {
	err := p.cmd.Process.Kill()
	<-p.done
	if errors.Is(err, os.ErrProcessDone) { // it has ended by itself meanwhile
		return nil
	}
	return err
}
