// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command certsidecar takes the place of dojot's cert-sidecar: whenever the files in one
// folder have changed, which is where a Secret is mounted, it writes those in another as
// cert-sidecar does, in place and one after the other, and takes its time about it.
//
//	certsidecar FROM TO
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"syscall"
	"time"

	"github.com/vernegate/vernegate/e2e/stack"
)

const (
	lookEvery = 500 * time.Millisecond
	dawdle    = 20 * time.Millisecond // at each moment at which a reader finds something odd
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "certsidecar: wrong arguments, expected FROM TO")
		os.Exit(1)
	}
	if err := run(ctx, os.Args[1], stack.Folder(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, "certsidecar:", err)
		os.Exit(1)
	}
}

// run writes until ctx ends.
func run(ctx context.Context, from string, to stack.Folder) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for written := (stack.Set{}); ; {
		found, err := read(from)
		if err != nil {
			return err
		}
		if !reflect.DeepEqual(found, written) {
			if err := to.Rewrite(found, func() { time.Sleep(dawdle) }); err != nil {
				return err
			}
			written = found
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// read reads the files of a Secret.
func read(dir string) (s stack.Set, err error) {
	for name, content := range map[string]*[]byte{
		"tls.key": &s.Key, "tls.crt": &s.Cert, "ca.crt": &s.Bundle, "ca.crl": &s.CRL,
	} {
		if *content, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			return s, err
		}
	}
	s.CA = s.Bundle
	return s, nil
}
