// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// Build compiles vernegate into dir and returns the binary's path. VERNEGATE_BIN
// names a binary to use instead; then nothing is built.
func Build(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("VERNEGATE_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	return Compile(ctx, dir, "github.com/vernegate/vernegate/cmd/vernegate")
}

// Compile compiles a command of this module into dir and returns the binary's path.
// The binary has the race detector when the calling program has it. It must be
// called from inside the module.
func Compile(ctx context.Context, dir, pkg string) (string, error) {
	bin := filepath.Join(dir, path.Base(pkg))
	args := []string{"build", "-o", bin}
	if Race {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building %s: %w\n%s", path.Base(pkg), err, out)
	}
	return bin, nil
}
