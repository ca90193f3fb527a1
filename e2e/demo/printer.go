// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// A printer writes what happens: numbered steps, each with aligned facts. Only a
// terminal gets emphasis.
type printer struct {
	w           io.Writer
	bold, plain string // escape sequences, empty where there is no terminal
}

func newPrinter(w io.Writer) *printer {
	n := &printer{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		n.bold, n.plain = "\x1b[1m", "\x1b[0m"
	}
	return n
}

// say writes a line.
func (n *printer) say(format string, args ...any) {
	fmt.Fprintf(n.w, format+"\n", args...)
}

// step prints the title of a step.
func (n *printer) step(number int, title string) {
	n.say("\n%s%2d  %s%s", n.bold, number, title, n.plain)
}

// fact writes what somebody does or notices.
func (n *printer) fact(who, format string, args ...any) {
	n.say("    %-16s %s", who, fmt.Sprintf(format, args...))
}
