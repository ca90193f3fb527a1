// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config"
)

// documentation is where the pages are.
const documentation = "https://github.com/vernegate/vernegate/blob/main/docs/"

// moreHelp follows the usage where somebody has asked for it.
const moreHelp = "\n\"vernegate COMMAND -h\" says more about a command; that of serve lists the variables.\nThe documentation: " + documentation + "\n"

// asksForHelp reports whether an argument behind a command asks what the command does.
func asksForHelp(args []string) bool {
	return slices.ContainsFunc(args, func(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help"}, arg) })
}

// help prints what there is to say of a command, and returns the exit code.
func help(command string, stdout, stderr io.Writer) int {
	text := helpAbout(command)
	if text == "" {
		return unknown(command, stderr)
	}
	fmt.Fprint(stdout, text)
	return exitOK
}

// helpAbout returns what there is to say of a command, "" if there is no such command. convert has a help of its own.
func helpAbout(command string) string {
	for _, c := range completed() {
		if c.Name != command {
			continue
		}
		text := fmt.Sprintf("vernegate %s: %s\n", c.Name, c.Does)
		for _, o := range c.Options {
			text += fmt.Sprintf("  %-12s %s\n", strings.TrimSpace(o.Name+" "+o.Value), o.Does)
		}
		if len(c.Words) > 0 {
			text += fmt.Sprintf("It takes one of: %s\n", strings.Join(c.Words, ", "))
		}
		if command == "serve" || command == "check" {
			text += "\n" + variablesHelp()
		}
		return text + "\nMore about the commands: " + documentation + "operations.md#commands\n"
	}
	return ""
}

// variablesHelp lists the variables with their defaults.
func variablesHelp() string {
	var b strings.Builder
	b.WriteString("It is configured by variables of the environment. Those of dojot's patched VerneMQ are understood, too.\n\n")
	for _, name := range config.Variables() {
		line := "  " + name
		if value := config.Default(name); value != "" {
			line += "=" + value
		}
		b.WriteString(line + "\n")
	}
	b.WriteString("\nWhat each one means: " + documentation + "configuration.md\n")
	return b.String()
}
