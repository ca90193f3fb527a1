// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// A narrator writes the story: numbered scenes, each with aligned facts. Only a
// terminal gets emphasis.
type narrator struct {
	w           io.Writer
	bold, plain string // escape sequences, empty where there is no terminal
}

func newNarrator(w io.Writer) *narrator {
	n := &narrator{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" {
		n.bold, n.plain = "\x1b[1m", "\x1b[0m"
	}
	return n
}

// say writes a line.
func (n *narrator) say(format string, args ...any) {
	fmt.Fprintf(n.w, format+"\n", args...)
}

// scene begins a scene.
func (n *narrator) scene(number int, title string) {
	n.say("\n%s%2d  %s%s", n.bold, number, title, n.plain)
}

// fact writes what somebody does or notices.
func (n *narrator) fact(who, format string, args ...any) {
	n.say("    %-16s %s", who, fmt.Sprintf(format, args...))
}
