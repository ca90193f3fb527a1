// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Package command runs other programs for what makes a release.
package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Output runs a command in a folder with more in its environment and returns what
// it prints. Its error has what it complains about.
func Output(ctx context.Context, dir string, environ []string, name string, args ...string) ([]byte, error) {
	var complaints strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = dir, &complaints
	cmd.Env = append(os.Environ(), environ...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, complaints.String())
	}
	return out, nil
}

// PlainGo makes the go command take the modules as they are written down.
func PlainGo() []string {
	return []string{"GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=", "GOOS=", "GOARCH="}
}
