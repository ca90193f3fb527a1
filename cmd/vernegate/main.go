// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

// Command vernegate is a TLS-terminating MQTT proxy in front of an unmodified
// broker: it verifies a device's certificate, asks certificate-acl who owns
// it, and makes that owner the username of the device's CONNECT.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/vernegate/vernegate/internal/app"
)

// Exit codes.
const (
	exitOK      = 0 // stopped in an orderly way, or all is well
	exitFailed  = 1 // failed at work
	exitMistake = 2 // wrong configuration or command line
)

const usage = `vernegate [serve]    accept devices until SIGTERM; configured by VERNEGATE_* and CERTIFICATE_ACL_* variables
vernegate check      check the configuration and the files, try certificate-acl and the backends; -no-mqtt only connects to the backends, -cert FILE says what a device would meet
vernegate convert    convert the configuration of dojot's patched VerneMQ for stock VerneMQ and vernegate; see convert -h
vernegate drain      make the vernegate that is process 1 of this container drain, as SIGTERM does
vernegate completion print a script for bash, fish or zsh that completes command lines; see vernegate(1)
vernegate version    print the version, and what is compiled in
vernegate help       print this text
`

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run does what the arguments (without the program's name) say until it is
// done, ctx ends or a signal comes, and returns the exit code.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	if len(args) > 1 && asksForHelp(args[1:]) && command != "convert" {
		return help(command, stdout, stderr)
	}
	if command == "convert" {
		return runConvert(args[1:], environ, os.Stdin, stdout, stderr)
	}
	if command == "completion" && len(args) == 2 {
		return completion(args[1], stdout, stderr)
	}
	if command == "check" {
		return check(ctx, args[1:], environ, stdout, stderr)
	}
	if len(args) > 1 {
		fmt.Fprintf(stderr, "vernegate: %s takes no arguments, not %q\n\n%s", command, args[1], usage)
		return exitMistake
	}
	switch command {
	case "serve":
		return serve(ctx, environ, stderr)
	case "completion":
		return completion("", stdout, stderr)
	case "drain":
		return drain(containersProcess, stderr)
	case "version", "--version":
		fmt.Fprint(stdout, versionText(thisBuild(), app.CompiledIn(), buildInfo()))
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage+moreHelp)
	default:
		return unknown(command, stderr)
	}
	return exitOK
}

// unknown says that there is no such command, and returns the exit code.
func unknown(command string, stderr io.Writer) int {
	fmt.Fprintf(stderr, "vernegate: there is no command %q\n\n%s", command, usage)
	return exitMistake
}
