// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
	"github.com/vernegate/vernegate/internal/convert"
)

const convertUsage = `vernegate convert [options] [FILE]

Reads the configuration of dojot's patched VerneMQ and writes a folder with
vernemq.conf and vmq.acl for stock VerneMQ, vernegate.env, and REPORT.md.

FILE is the old vernemq.conf, in plain text or base64; - is standard input. Without
FILE, VERNEMQ_CONF of the environment is read. DOCKER_VERNEMQ_* and PLUGIN_* are
read as well.

`

// conversionFlags are the command line of convert.
type conversionFlags struct {
	out, envFile, file string
	check, replace     bool
	options            convert.Options
}

// runConvert converts the configuration of the patched broker and returns the exit
// code: with -check 1 if something is left for a person to decide.
func runConvert(args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags, err := parseConversion(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err != nil {
		return reportMistakes(stderr, err)
	}
	in, inputErr := flags.input(environ, stdin)
	result, err := convert.Convert(in, flags.options)
	if err == nil {
		err = config.CheckConverted(strings.Split(string(result.Env), "\n"), result.Variables)
	}
	if err := errors.Join(inputErr, err); err != nil {
		return reportMistakes(stderr, err)
	}
	if err := flags.deliver(result, stdout); err != nil {
		fmt.Fprintf(stderr, "vernegate: %v\n", err)
		return exitFailed
	}
	if flags.check && len(result.Open) > 0 {
		return exitFailed
	}
	return exitOK
}

// parseConversion reads the command line, options and FILE in any order. The usage, if it is asked for, goes to w.
func parseConversion(args []string, w io.Writer) (*conversionFlags, error) {
	f := &conversionFlags{options: convert.Options{
		Variables: config.Variables(),
		Cipher:    config.CheckCipher,
	}}
	set := conversionFlagSet(f)
	files, err := parseInAnyOrder(set, args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(w, convertUsage)
		set.SetOutput(w)
		set.PrintDefaults()
		fmt.Fprintf(w, "\nMore: %smigrate-from-dojot-vernemq.md\n", documentation)
		return nil, err
	}
	if len(files) > 0 {
		f.file = files[0]
	}
	return f, errors.Join(err, f.validate(len(files)))
}

// parseInAnyOrder parses options that may also come behind the other arguments, which it returns. What follows "--" is no
// option.
func parseInAnyOrder(set *flag.FlagSet, args []string) (others []string, err error) {
	for {
		if err := set.Parse(args); err != nil {
			return others, err
		}
		rest := set.Args()
		if len(rest) == 0 {
			return others, nil
		}
		if at := len(args) - len(rest) - 1; at >= 0 && args[at] == "--" {
			return append(others, rest...), nil
		}
		others, args = append(others, rest[0]), rest[1:]
	}
}

// conversionFlagSet reads options into f, silently.
func conversionFlagSet(f *conversionFlags) *flag.FlagSet {
	set := flag.NewFlagSet("convert", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.StringVar(&f.out, "out", "", "the `folder` to write; without -replace, it must not exist yet")
	set.BoolVar(&f.replace, "replace", false, "replace a folder that convert wrote before")
	set.BoolVar(&f.check, "check", false, "exit with 1 if something is left for a person to decide; without -out, print the report and write nothing")
	set.StringVar(&f.envFile, "env", "", "a `file` of NAME=value lines to read instead of the environment")
	set.StringVar(&f.options.BrokerListen, "broker-listen", "127.0.0.1:1883", "`address` where stock VerneMQ listens for vernegate")
	set.StringVar(&f.options.NodeAddress, "node-address", vernemqconf.ContainerAddress, "`address` of a VerneMQ node; VerneMQ's image replaces the default")
	set.StringVar(&f.options.ACLFile, "acl-file", "/vernemq/etc/vernegate/vmq.acl", "`path` of the ACL file, as VerneMQ sees it")
	return set
}

// validate names everything that is wrong with the command line.
func (f *conversionFlags) validate(files int) error {
	var errs []error
	if files > 1 {
		errs = append(errs, fmt.Errorf("expected one FILE, not %d", files))
	}
	if f.out == "" && !f.check {
		errs = append(errs, errors.New("expected -out with a new folder, or -check"))
	}
	if f.out != "" && !f.replace {
		if _, err := os.Lstat(f.out); err == nil {
			errs = append(errs, fmt.Errorf("-out %q: exists, expected a new folder, or -replace as well if convert wrote this one", f.out))
		}
	}
	if address, err := netip.ParseAddrPort(f.options.BrokerListen); err != nil || address.Port() == 0 {
		errs = append(errs, fmt.Errorf("-broker-listen %q: expected an IP address with a port such as 127.0.0.1:1883", f.options.BrokerListen))
	}
	return errors.Join(errs...)
}

// input reads the old configuration, as far as it can be read beside an error.
func (f *conversionFlags) input(environ []string, stdin io.Reader) (convert.Input, error) {
	vars, err := f.variables(environ)
	if err != nil {
		return convert.Input{}, err
	}
	var errs []error
	name, text, err := f.text(vars, stdin)
	errs = append(errs, err)
	settings, err := vernemqconf.Parse(name, text)
	errs = append(errs, err)
	ofVariables, unread, err := vernemqconf.FromEnviron(vars)
	errs = append(errs, err)
	if len(settings)+len(ofVariables) == 0 && errors.Join(errs...) == nil {
		errs = append(errs, errors.New("expected a configuration: a FILE, VERNEMQ_CONF or DOCKER_VERNEMQ_*"))
	}
	return convert.Input{Settings: slices.Concat(settings, ofVariables), Vars: vars, Unread: unread}, errors.Join(errs...)
}

// variables are those of the environment, or of the file that stands for it.
func (f *conversionFlags) variables(environ []string) (map[string]string, error) {
	if f.envFile == "" {
		return config.Map(environ), nil
	}
	text, err := os.ReadFile(f.envFile)
	if err != nil {
		return nil, fmt.Errorf("reading -env: %w", err)
	}
	return parseEnvFile(f.envFile, string(text))
}

// text returns the old vernemq.conf, decoded, and what to call it.
func (f *conversionFlags) text(vars map[string]string, stdin io.Reader) (name string, text []byte, err error) {
	encoded := vars[vernemqconf.Variable]
	switch {
	case f.file != "" && encoded != "":
		return "", nil, fmt.Errorf("%s is set beside %s: expected one of them", vernemqconf.Variable, f.file)
	case f.file == "-":
		name = "standard input"
		text, err = io.ReadAll(stdin)
	case f.file != "":
		name = f.file
		text, err = os.ReadFile(f.file)
	case encoded != "":
		text, err = vernemqconf.Decode(encoded)
		if err != nil {
			err = fmt.Errorf("%s: %w", vernemqconf.Variable, err)
		}
		return vernemqconf.Variable, text, err
	}
	if err != nil {
		return name, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if vernemqconf.LooksEncoded(text) {
		text, err = vernemqconf.Decode(string(text))
	}
	return name, text, err
}

// parseEnvFile reads NAME=value lines as Docker and shells do: with comments, with
// "export" in front, and with quotes around a value.
func parseEnvFile(file, text string) (map[string]string, error) {
	vars := map[string]string{}
	var errs []error
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			errs = append(errs, fmt.Errorf("%s line %d: expected NAME=value", file, number))
			continue
		}
		vars[name] = unquoted(value)
	}
	return vars, errors.Join(errs...)
}

// unquoted returns a value without one pair of quotes around it.
func unquoted(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

// deliver writes the folder, or prints the report where there is to be none.
func (f *conversionFlags) deliver(r *convert.Result, stdout io.Writer) error {
	if f.out == "" {
		_, err := io.Copy(stdout, bytes.NewReader(r.Report))
		return err
	}
	write := r.Write
	if f.replace {
		write = r.Replace
	}
	if err := write(f.out); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "wrote %s\n", f.out)
	for _, line := range r.Open {
		fmt.Fprintf(stdout, "to decide: %s\n", line)
	}
	return nil
}
