// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command release makes what a release consists of:
//
//	go run . build -version v0.1.0 -source .. -out ../dist   all files, in a folder that it makes anew
//	go run . notes -version v0.1.0 -source ..                what the changelog says of a version
//	go run . cut -version v0.1.0 -date 2026-11-26 -source .. gives the changelog's "Unreleased" a version
//
// The files depend on the commit, the version and the version of Go alone: whoever
// builds them again gets the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

const usage = "usage: release build|notes|cut -version VERSION [-source FOLDER] [-out FOLDER] [-date YYYY-MM-DD]"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run does what the arguments say, and prints to out what it makes.
func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	name := flags.String("version", "", "the version, such as v0.1.0")
	source := flags.String("source", "..", "the folder of the sources")
	folder := flags.String("out", "../dist", "the folder to make")
	date := flags.String("date", time.Now().UTC().Format(time.DateOnly), "the day of the release")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	v, err := parseVersion(*name)
	if err != nil {
		return err
	}
	root, err := filepath.Abs(*source)
	if err != nil {
		return err
	}
	dist, err := filepath.Abs(*folder)
	if err != nil {
		return err
	}
	changelog := filepath.Join(root, "CHANGELOG.md")
	switch args[0] {
	case "build":
		return build(ctx, root, dist, v, out)
	case "notes":
		text, err := os.ReadFile(changelog)
		if err != nil {
			return err
		}
		notes, err := notesOf(string(text), v)
		fmt.Fprint(out, notes)
		return err
	case "cut":
		return cutFile(changelog, v, *date)
	}
	return errors.New(usage)
}
