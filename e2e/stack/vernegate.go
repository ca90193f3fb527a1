// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Vernegate is a running vernegate, the real binary.
type Vernegate struct {
	*Process
	Devices   string // host:port of the listener for devices
	Services  string // host:port of the listener for internal services
	WebSocket string // host:port of the listener for devices by WebSocket
	Admin     string // host:port of the admin server
}

// startTries is how often vernegate is started before a taken port is a failure:
// somebody else may take a free port before vernegate does.
const startTries = 5

// StartVernegate starts the binary with nothing but env in its environment, and
// with free loopback ports, JSON logs and every level of them where env does not
// say otherwise. A wrapper is a command that is run with the binary and its
// argument as its own last arguments. It returns once /readyz says so. The caller
// stops it.
func StartVernegate(ctx context.Context, bin string, env map[string]string, wrapper ...string) (*Vernegate, error) {
	for try := 1; ; try++ {
		v, err := LaunchVernegate(bin, env, wrapper...)
		if err != nil {
			return nil, err
		}
		err = v.WaitReady(ctx)
		if err == nil {
			return v, nil
		}
		v.Kill()
		if try == startTries || !strings.Contains(v.Output.String(), "address already in use") {
			return nil, fmt.Errorf("starting vernegate: %w\n%s", err, v.Output.Tail())
		}
	}
}

// LaunchVernegate is StartVernegate without waiting: for configurations that are
// not supposed to work.
func LaunchVernegate(bin string, env map[string]string, wrapper ...string) (*Vernegate, error) {
	env = maps.Clone(env)
	v := &Vernegate{}
	for variable, addr := range map[string]*string{
		"VERNEGATE_LISTEN":         &v.Devices,
		"VERNEGATE_SERVICE_LISTEN": &v.Services,
		"VERNEGATE_WS_LISTEN":      &v.WebSocket,
		"VERNEGATE_ADMIN":          &v.Admin,
	} {
		free, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		setDefault(env, variable, free)
		*addr = env[variable]
	}
	setDefault(env, "VERNEGATE_LOG_FORMAT", "json")
	setDefault(env, "VERNEGATE_LOG_LEVEL", "debug")
	setDefault(env, "VERNEGATE_DRAIN_TIMEOUT", "0s") // a test that ends has no time to lose

	command := append(slices.Clone(wrapper), bin, "serve")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = environ(env)
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	v.Process = p
	return v, nil
}

// setDefault sets a variable that is not there.
func setDefault(env map[string]string, variable, value string) {
	if _, ok := env[variable]; !ok {
		env[variable] = value
	}
}

// environ is env in the form of os.Environ. Of the caller's own environment, only
// where the toolchain's instruments write their findings is handed on.
func environ(env map[string]string) []string {
	for _, instrument := range []string{"GOCOVERDIR", "GORACE"} {
		if value, ok := os.LookupEnv(instrument); ok {
			setDefault(env, instrument, value)
		}
	}
	var list []string
	for _, variable := range slices.Sorted(maps.Keys(env)) {
		list = append(list, variable+"="+env[variable])
	}
	return list
}

// WaitReady waits until /readyz answers 200, or the program has ended.
func (v *Vernegate) WaitReady(ctx context.Context) error {
	for {
		status, err := v.Status(ctx, "/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-v.Done():
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Status is the status code of a GET at the admin server.
func (v *Vernegate) Status(ctx context.Context, path string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+v.Admin+path, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// Race returns what the race detector reported in the binary, "" for nothing.
func (v *Vernegate) Race() string {
	if _, report, found := strings.Cut(v.Output.String(), "WARNING: DATA RACE"); found {
		return report
	}
	return ""
}
