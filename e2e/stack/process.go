// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopGrace is how long a program has to end after SIGTERM before it is killed.
const stopGrace = 30 * time.Second

// Process is a started program. Its methods are safe for concurrent use.
type Process struct {
	Output Lines // stdout and stderr as they came

	cmd  *exec.Cmd
	done chan struct{} // closed when the program has ended and Output is whole
}

// start runs cmd with its output kept. The caller stops it.
func start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.Output, &p.Output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", filepath.Base(cmd.Path), err)
	}
	go p.reap()
	return p, nil
}

// reap waits for the program's end. It ends with the program.
func (p *Process) reap() {
	_ = p.cmd.Wait() // how it ended is in ProcessState
	close(p.done)
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the program.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Wait returns the exit code once the program has ended, -1 when a signal ended it.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode(), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("waiting for %s to end: %w", filepath.Base(p.cmd.Path), ctx.Err())
	}
}

// Kill ends the program at once and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Stop asks the program to end (SIGTERM), kills it when it does not, and returns an
// error unless it ended by itself with exit code 0. A second call does no harm.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	code, err := p.Wait(ctx)
	if err != nil {
		p.Kill()
		return err
	}
	if code != 0 {
		return fmt.Errorf("%s ended with exit code %d", filepath.Base(p.cmd.Path), code)
	}
	return nil
}

// RSS is the program's resident memory in bytes, as Linux counts it (VmRSS).
// Elsewhere it fails with errors.ErrUnsupported.
func (p *Process) RSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("reading the memory of a process: %w", errors.ErrUnsupported)
	}
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if kb, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("reading /proc status: no VmRSS line")
}

// Descriptors is the number of files and sockets the program holds, as Linux lists
// them. Elsewhere it fails with errors.ErrUnsupported.
func (p *Process) Descriptors() (int, error) {
	held, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID()))
	if errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("listing the descriptors of a process: %w", errors.ErrUnsupported)
	}
	return len(held), err
}
