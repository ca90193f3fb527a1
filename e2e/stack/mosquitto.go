// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Mosquitto is a running Mosquitto that lets everybody in and keeps what it knows
// (sessions, retained messages) in memory.
type Mosquitto struct {
	*Process
	Addr string // host:port of its plain listener

	conf string // its configuration file
}

// StartMosquitto starts a Mosquitto with its files in dir and waits until it
// accepts connections. With acl, that text is its acl_file: it is enforced on the
// username of CONNECT. More lines are added to its configuration. The caller stops it.
func StartMosquitto(ctx context.Context, dir, acl string, more ...string) (*Mosquitto, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	conf, err := writeMosquittoConf(dir, addr, acl, more)
	if err != nil {
		return nil, fmt.Errorf("configuring mosquitto: %w", err)
	}
	return launchMosquitto(ctx, addr, conf)
}

// Restart starts the Mosquitto again that has ended, at the same address and with
// nothing in its memory. The caller stops the new one.
func (m *Mosquitto) Restart(ctx context.Context) (*Mosquitto, error) {
	return launchMosquitto(ctx, m.Addr, m.conf)
}

// launchMosquitto starts a Mosquitto that is configured to listen at addr.
func launchMosquitto(ctx context.Context, addr, conf string) (*Mosquitto, error) {
	bin, err := mosquittoPath()
	if err != nil {
		return nil, err
	}
	p, err := start(exec.Command(bin, "-c", conf))
	if err != nil {
		return nil, err
	}
	m := &Mosquitto{Process: p, Addr: addr, conf: conf}
	if err := waitListening(ctx, p, addr); err != nil {
		p.Kill()
		return nil, fmt.Errorf("starting mosquitto: %w\n%s", err, p.Output.Tail())
	}
	return m, nil
}

// mosquittoPath finds the broker, which Debian keeps outside of a user's PATH.
func mosquittoPath() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("looking for mosquitto: not installed (Debian: apt-get install mosquitto mosquitto-clients)")
}

// writeMosquittoConf writes the configuration into dir and returns its path. The
// broker logs to its stderr, and keeps the user that started it: it would
// otherwise give up root and with it the right to read dir.
func writeMosquittoConf(dir, addr, acl string, more []string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	conf := []string{
		"listener " + port + " " + host,
		"allow_anonymous true",
		"persistence false",
		"log_dest stderr",
		"log_type error",
		"log_type warning",
		"log_type notice",
		"log_type information",
		"connection_messages true",
		"set_tcp_nodelay true",
		"max_queued_messages 10000",
		"sys_interval 0",
		"user root",
	}
	conf = append(conf, more...)
	if acl != "" {
		path := filepath.Join(dir, "mosquitto.acl")
		if err := os.WriteFile(path, []byte(acl), 0o600); err != nil {
			return "", err
		}
		conf = append(conf, "acl_file "+path)
	}
	path := filepath.Join(dir, "mosquitto.conf")
	return path, os.WriteFile(path, []byte(strings.Join(conf, "\n")+"\n"), 0o600)
}

// waitListening waits until addr accepts a connection, or p has ended.
func waitListening(ctx context.Context, p *Process, addr string) error {
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-p.Done():
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newClient is the line Mosquitto logs for every CONNECT it accepts, for example
// "1700000000: New client connected from 127.0.0.1:4711 as cid (p2, c1, k60, u'acme:lamp')."
var newClient = regexp.MustCompile(`New client connected from \S+ as (.*) \(p\d+, c\d, k\d+(?:, u'(.*)')?\)\.$`)

// Username waits until the broker has accepted clientID and returns the username
// that its CONNECT had, "" for none.
func (m *Mosquitto) Username(ctx context.Context, clientID string) (string, error) {
	line, err := m.Output.Wait(ctx, "client "+clientID, func(line string) bool {
		match := newClient.FindStringSubmatch(line)
		return match != nil && match[1] == clientID
	})
	if err != nil {
		return "", err
	}
	return newClient.FindStringSubmatch(line)[2], nil
}
