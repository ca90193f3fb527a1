// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command collect prints the licences of what is linked into binaries, and fails if one
// does not fit Apache-2.0:
//
//	go run ./licences/collect -source .. ../bin/vernegate
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/vernegate/vernegate/release/licences"
)

func main() {
	source := flag.String("source", "..", "the folder of the module that the binaries were built of")
	flag.Parse()
	if flag.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "usage: collect [-source FOLDER] BINARY...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := licences.Write(ctx, os.Stdout, *source, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "collect:", err)
		os.Exit(1)
	}
}
