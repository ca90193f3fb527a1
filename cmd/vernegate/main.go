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
)

// Exit codes.
const (
	exitOK      = 0 // stopped in an orderly way, or all is well
	exitFailed  = 1 // failed at work
	exitMistake = 2 // wrong configuration or command line
)

const usage = `vernegate [serve]    take devices; configured by VERNEGATE_* and CERTIFICATE_ACL_* variables
vernegate check      validate configuration and files, try certificate-acl and the backends
vernegate convert    turn the configuration of dojot's patched VerneMQ into that of stock VerneMQ and vernegate; -h tells more
vernegate drain      have the vernegate that is process 1 of this container drain, as SIGTERM does
vernegate version    say which build this is
vernegate help       print this
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
	if command == "convert" {
		return runConvert(args[1:], environ, os.Stdin, stdout, stderr)
	}
	if len(args) > 1 {
		fmt.Fprintf(stderr, "vernegate: %s takes no arguments, not %q\n\n%s", command, args[1], usage)
		return exitMistake
	}
	switch command {
	case "serve":
		return serve(ctx, environ, stderr)
	case "check":
		return check(ctx, environ, stdout)
	case "drain":
		return drain(containersProcess, stderr)
	case "version", "--version":
		fmt.Fprintln(stdout, versionLine(thisBuild()))
	case "help", "--help", "-h":
		fmt.Fprint(stdout, usage)
	default:
		fmt.Fprintf(stderr, "vernegate: there is no command %q\n\n%s", command, usage)
		return exitMistake
	}
	return exitOK
}
