// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package sdnotify tells the service manager that started this process what it
// does, by the protocol of sd_notify(3): a datagram with lines NAME=value to the
// Unix socket that NOTIFY_SOCKET names. It reads no environment by itself and
// knows nothing of what is served.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// sendTimeout bounds how long a datagram may wait for room in the manager's queue.
const sendTimeout = 5 * time.Second

// minInterval bounds how often a watchdog is told, however short its patience is.
const minInterval = 10 * time.Millisecond

// A Notifier tells the service manager about this process. Its methods may be
// called from several goroutines. Those of a nil Notifier do nothing: that is a
// process that no service manager has started.
type Notifier struct {
	socket   *net.UnixAddr
	watchdog time.Duration // how long it waits for a sign of life; 0: it does not
}

// New returns the Notifier for the environment of the process with this id, nil
// if it has no NOTIFY_SOCKET. WATCHDOG_USEC counts unless WATCHDOG_PID names
// another process.
func New(vars map[string]string, pid int) (*Notifier, error) {
	name := vars["NOTIFY_SOCKET"]
	if name == "" {
		return nil, nil
	}
	if len(name) < 2 || name[0] != '/' && name[0] != '@' {
		return nil, fmt.Errorf("NOTIFY_SOCKET=%q: expected a path, or a name in the abstract namespace with an @ before it", name)
	}
	n := &Notifier{socket: &net.UnixAddr{Net: "unixgram", Name: name}} // package net knows the @, too
	if other := vars["WATCHDOG_PID"]; other != "" && other != strconv.Itoa(pid) {
		return n, nil
	}
	if text := vars["WATCHDOG_USEC"]; text != "" {
		usec, err := strconv.ParseInt(text, 10, 64)
		if err != nil || usec <= 0 || usec > maxMicroseconds {
			return n, fmt.Errorf("WATCHDOG_USEC=%q: expected microseconds, from 1 to %d", text, maxMicroseconds)
		}
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n, nil
}

// maxMicroseconds is the longest time.Duration.
const maxMicroseconds = int64(1<<63-1) / int64(time.Microsecond)

// Ready says that the start is over, or a reload, and in words what the process
// does now.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Reloading says that what was configured is read again; Ready has to follow. The
// manager needs the time of the monotonic clock to tell this reload from others.
func (n *Notifier) Reloading() error {
	if n == nil {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return err
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Microseconds(), 10))
}

// Stopping says that the process is about to end, and how long that may take
// before it counts as stuck: the manager's own patience may be shorter.
func (n *Notifier) Stopping(status string, within time.Duration) error {
	return n.send("STOPPING=1", statusLine(status), "EXTEND_TIMEOUT_USEC="+strconv.FormatInt(within.Microseconds(), 10))
}

// Status says in words what the process does, for people.
func (n *Notifier) Status(text string) error { return n.send(statusLine(text)) }

// statusLine keeps words in their line, so that they are no other message.
func statusLine(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// KeepAlive gives the watchdog a sign of life, twice in the time that it waits for
// one, until ctx ends; none while alive returns an error. It returns at once if
// there is no watchdog. What cannot be sent is tried again with the next one.
func (n *Notifier) KeepAlive(ctx context.Context, alive func() error) {
	if n == nil || n.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(max(n.watchdog/2, minInterval))
	defer ticker.Stop()
	for {
		if alive() == nil {
			_ = n.send("WATCHDOG=1")
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends one datagram. The socket is opened each time, as a manager that was
// restarted has a new one under the same name.
func (n *Notifier) send(lines ...string) error {
	if n == nil {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, n.socket)
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}
