// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package convert

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vernegate/vernegate/internal/config/legacy"
	"github.com/vernegate/vernegate/internal/config/legacy/vernemqconf"
)

// Input is what configured the patched broker.
type Input struct {
	Settings vernemqconf.Settings // the later ones go before the earlier ones
	Vars     map[string]string    // its environment
	Unread   []string             // the variables that are for the image itself
}

// Options say where things will be. All fields are required.
type Options struct {
	BrokerListen string // host:port where stock VerneMQ is to take vernegate's connections
	NodeAddress  string // what stands for the address of a VerneMQ node
	ACLFile      string // where VerneMQ is to find its ACL file

	Variables []string                // vernegate's variables, in the order in which they are written
	Cipher    func(name string) error // see [legacy.Options]
}

// Result is a configuration for stock VerneMQ and vernegate.
type Result struct {
	Conf   []byte   // vernemq.conf
	ACL    []byte   // vmq.acl
	Env    []byte   // vernegate.env; it may hold secrets
	Report []byte   // REPORT.md
	Open   []string // what a person has to decide, a line each, also in the report

	Variables []legacy.Variable // those in Env that come from settings
}

// Convert converts. The error joins all mistakes, each with where it is; with
// one there is no result.
func Convert(in Input, o Options) (*Result, error) {
	c := newConversion(in, o)
	c.judgeSettings()
	c.judgeVariables()
	c.addListener()
	env := c.env()
	if len(c.mistakes) > 0 {
		return nil, errors.Join(c.mistakes...)
	}
	return &Result{
		Conf:      c.conf(),
		ACL:       c.acl(),
		Env:       env,
		Report:    c.report(),
		Open:      c.open,
		Variables: c.translation.Variables,
	}, nil
}

// A row of the report says what became of one setting or variable.
type row struct {
	subject string // its name
	origin  string // where it was; "" of a variable
	outcome outcome
	why     string
	open    bool // a person has to decide
}

type outcome string

const (
	kept    outcome = "kept"
	moved   outcome = "moved"
	dropped outcome = "dropped"
)

// pair is a line of vernemq.conf.
type pair struct{ key, value string }

// conversion is a conversion on its way.
type conversion struct {
	Input
	Options
	settings    vernemqconf.Settings // the input's, and the image's
	image       imageSettings
	translation legacy.Translation

	keep     []pair // of the old configuration
	ours     []pair // of the new one
	rows     []row
	open     []string
	mistakes []error
}

func newConversion(in Input, o Options) *conversion {
	c := &conversion{Input: in, Options: o}
	c.image = patchedImage(o.NodeAddress)
	c.settings = in.Settings
	if !c.converted() {
		c.settings = slices.Concat(c.image.before, in.Settings, c.image.after)
	}
	c.translation = legacy.Translate(c.settings, legacy.Options{
		Has:      c.has,
		Override: func(variable string) string { return in.Vars[variable] },
		Cipher:   o.Cipher,
	})
	c.mistakes = slices.Clone(c.translation.Mistakes)
	return c
}

// converted reports whether the input has been converted before.
func (c *conversion) converted() bool {
	_, ok := c.Settings.Get(listenerKey)
	return ok
}

// has reports whether this vernegate has a variable.
func (c *conversion) has(variable string) bool { return slices.Contains(c.Variables, variable) }

// addRow adds a row. If it is open, a person has to decide.
func (c *conversion) addRow(r row) {
	c.rows = append(c.rows, r)
	if r.open {
		c.addOpen("`%s`: %s", r.subject, r.why)
	}
}

// addOpen leaves something to a person.
func (c *conversion) addOpen(format string, args ...any) {
	c.open = append(c.open, fmt.Sprintf(format, args...))
}

func (c *conversion) mistake(format string, args ...any) {
	c.mistakes = append(c.mistakes, fmt.Errorf(format, args...))
}
