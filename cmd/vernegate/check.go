// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"github.com/vernegate/vernegate/internal/app"
)

// checkFlags are what may follow check.
type checkFlags struct {
	noMQTT bool
	cert   string // path; "" = all but a certificate is checked
}

func checkFlagSet(f *checkFlags) *flag.FlagSet {
	set := flag.NewFlagSet("check", flag.ContinueOnError)
	set.SetOutput(io.Discard) // run prints mistakes
	set.BoolVar(&f.noMQTT, "no-mqtt", false, "only connect to the backends")
	set.StringVar(&f.cert, "cert", "", "say what a device with the certificate in `file` would meet, and check nothing else")
	return set
}

// check prints what serve would meet with this environment, or a device at serve, and returns the
// exit code: 0 unless something failed.
func check(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	var f checkFlags
	set := checkFlagSet(&f)
	mistake := ""
	switch err := set.Parse(args); {
	case err != nil:
		mistake = fmt.Sprintf("%v, in %q", err, args)
	case set.NArg() > 0:
		mistake = fmt.Sprintf("takes no arguments, not %q", set.Arg(0))
	case f.cert != "" && f.noMQTT:
		mistake = "expected only one of -cert and -no-mqtt"
	case isSet(set, "cert") && f.cert == "":
		mistake = "-cert: expected the name of a file"
	}
	if mistake != "" {
		fmt.Fprintf(stderr, "vernegate: check: %s\n\n%s", mistake, usage)
		return exitMistake
	}
	well := false
	if f.cert != "" {
		well = app.CheckCertificate(ctx, f.cert, environ, stdout)
	} else {
		well = app.Check(ctx, f.noMQTT, environ, stdout)
	}
	if !well {
		return exitMistake
	}
	return exitOK
}

// isSet reports whether the command line names a flag.
func isSet(set *flag.FlagSet, name string) (found bool) {
	set.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}
