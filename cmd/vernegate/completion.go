// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"embed"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/template"
)

// shells are those that there is a script for, completion/NAME.
func shells() []string { return []string{"bash", "fish", "zsh"} }

//go:embed completion
var scripts embed.FS

// completion prints the script that makes a shell complete command lines of
// vernegate, and returns the exit code.
func completion(shell string, stdout, stderr io.Writer) int {
	if !slices.Contains(shells(), shell) {
		fmt.Fprintf(stderr, "vernegate: completion: expected %s, not %q\n", strings.Join(shells(), ", "), shell)
		return exitMistake
	}
	var out bytes.Buffer
	// What is wrong with the template would be wrong in every run.
	t := template.Must(template.New(shell).Funcs(template.FuncMap{
		"join": joinNames, "files": takeFiles, "values": takeValues, "optionSpec": zshOption, "quoted": quoted,
	}).
		ParseFS(scripts, "completion/"+shell))
	if err := t.Execute(&out, completed()); err != nil {
		panic(err)
	}
	_, _ = stdout.Write(out.Bytes())
	return exitOK
}

// A completedCommand is what a shell knows of a command.
type completedCommand struct {
	Name, Does string
	Words      []string // what may follow
	Options    []option
	Files      bool // takes names of files
}

// An option is one of a command's flags.
type option struct {
	Name, Does string
	Value      string // what the option takes, "" for nothing
}

// TakesFile reports whether the value is a name in the file system.
func (o option) TakesFile() bool { return slices.Contains([]string{"file", "folder", "path"}, o.Value) }

// completed lists the commands of the usage with what can follow each.
func completed() []completedCommand {
	var commands []completedCommand
	for line := range strings.Lines(usage) {
		name, does, _ := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "vernegate "), " ")
		name = strings.Trim(name, "[]")
		does, _, _ = strings.Cut(strings.TrimSpace(does), ";")
		c := completedCommand{Name: name, Does: does}
		switch name {
		case "check":
			c.Options = options(checkFlagSet(&checkFlags{}))
		case "completion":
			c.Words = shells()
		case "convert":
			c.Options, c.Files = options(conversionFlagSet(&conversionFlags{})), true
		}
		commands = append(commands, c)
	}
	return commands
}

// options are the flags of a set, in the order of their names.
func options(set *flag.FlagSet) []option {
	var list []option
	set.VisitAll(func(f *flag.Flag) {
		value, does := flag.UnquoteUsage(f)
		does, _, _ = strings.Cut(does, ";")
		list = append(list, option{Name: "-" + f.Name, Does: does, Value: value})
	})
	return list
}

// joinNames joins the names of a list of commands or options.
func joinNames(list any) string {
	var names []string
	switch list := list.(type) {
	case []completedCommand:
		for _, c := range list {
			names = append(names, c.Name)
		}
	case []option:
		for _, o := range list {
			names = append(names, o.Name)
		}
	}
	return strings.Join(names, " ")
}

// takeFiles returns the options whose values are names of files.
func takeFiles(list []option) []option {
	return slices.DeleteFunc(slices.Clone(list), func(o option) bool { return !o.TakesFile() })
}

// takeValues returns the options that take other values.
func takeValues(list []option) []option {
	return slices.DeleteFunc(slices.Clone(list), func(o option) bool { return o.Value == "" || o.TakesFile() })
}

// zshOption describes an option for zsh's _arguments.
func zshOption(o option) string {
	escape := strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)
	spec := o.Name + "[" + escape.Replace(o.Does) + "]"
	switch {
	case o.TakesFile():
		spec += ":" + o.Value + ":_files"
	case o.Value != "":
		spec += ":" + o.Value + ": "
	}
	return spec
}

// quoted is a text in single quotes, as zsh and fish both read it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'"'"'`) + "'" }
