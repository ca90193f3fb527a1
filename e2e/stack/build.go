// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build compiles ./cmd/vernegate into dir and returns the binary's path. The
// binary has the race detector when the calling program has it. VERNEGATE_BIN
// names a binary to use instead; then nothing is built.
//
// It must be called from inside the module.
func Build(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("VERNEGATE_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(dir, "vernegate")
	args := []string{"build", "-o", bin}
	if Race {
		args = append(args, "-race")
	}
	args = append(args, "github.com/vernegate/vernegate/cmd/vernegate")
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building vernegate: %w\n%s", err, out)
	}
	return bin, nil
}
