// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	"github.com/vernegate/vernegate/internal/app"
)

// check prints what serve would meet with this environment, and returns the
// exit code: 0 unless something failed.
func check(ctx context.Context, noMQTT bool, environ []string, stdout io.Writer) int {
	if !app.Check(ctx, noMQTT, environ, stdout) {
		return exitMistake
	}
	return exitOK
}
