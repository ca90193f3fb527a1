// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"strings"

	"github.com/vernegate/vernegate/truststore"
)

// filesError is what is wrong with the trust files at the start, one mistake
// a line, each with the variable that names the file.
type filesError struct{ err error }

func (e *filesError) Error() string { return e.err.Error() }

// openTrust opens the trust store, or tells everything that is wrong with its
// files as a *filesError.
func (c config) openTrust(ctx context.Context, trust truststore.Config) (*truststore.Store, error) {
	store, err := truststore.Open(ctx, trust)
	if err != nil {
		return nil, &filesError{c.withVariables(err)}
	}
	return store, nil
}

// tryFiles reads the trust files once and returns what is wrong with them. It
// has nothing to say when the variables that name them are wrong themselves.
func (c config) tryFiles(ctx context.Context) error {
	if len(c.TLSCert) == 0 || len(c.TLSKey) != len(c.TLSCert) || len(c.TLSCA) == 0 || len(c.TLSCRL) == 0 {
		return nil
	}
	_, err := c.openTrust(ctx, c.trustConfig(nil))
	return err
}

// withVariables puts the variable that names a file before each mistake about
// it. The store knows paths only.
func (c config) withVariables(err error) error {
	var mistakes []error
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSuffix(line, "\n")
		if names := c.variablesOf(line); len(names) > 0 {
			line = strings.Join(names, ", ") + ": " + line
		}
		mistakes = append(mistakes, errors.New(line))
	}
	return errors.Join(mistakes...)
}

// variablesOf returns the variables that name a file which a mistake is about.
func (c config) variablesOf(mistake string) (names []string) {
	for _, files := range []struct {
		variable string
		paths    fileList
	}{
		{"VERNEGATE_TLS_CERT", c.TLSCert},
		{"VERNEGATE_TLS_KEY", c.TLSKey},
		{"VERNEGATE_TLS_CA", c.TLSCA},
		{"VERNEGATE_TLS_CRL", c.TLSCRL},
		{"VERNEGATE_TICKET_KEYS", c.TicketKeys},
	} {
		for _, path := range files.paths {
			if strings.Contains(mistake, path) {
				names = append(names, c.withOrigin(files.variable))
				break
			}
		}
	}
	return names
}
