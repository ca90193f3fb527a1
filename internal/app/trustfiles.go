// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/truststore"
)

// FilesError is what is wrong with the trust files at the start, one mistake
// a line, each with the variable that names the file.
type FilesError struct{ err error }

func (e *FilesError) Error() string { return e.err.Error() }

// openTrust opens the trust store, or returns everything that is wrong with its
// files as a *FilesError.
func openTrust(ctx context.Context, cfg config.Config, trust truststore.Config) (*truststore.Store, error) {
	store, err := truststore.Open(ctx, trust)
	if err != nil {
		return nil, &FilesError{withVariables(cfg, err)}
	}
	return store, nil
}

// TryFiles reads the trust files once and returns what is wrong with them. It
// has nothing to say when the variables that name them are wrong themselves.
func TryFiles(ctx context.Context, cfg config.Config) error {
	if len(cfg.TLSCert) == 0 || len(cfg.TLSKey) != len(cfg.TLSCert) || len(cfg.TLSCA) == 0 || len(cfg.TLSCRL) == 0 {
		return nil
	}
	_, err := openTrust(ctx, cfg, trustConfig(cfg, nil))
	_, clientErr := openClientFiles(ctx, cfg, 0, nil)
	_, ownersErr := openOwnerFile(ctx, cfg, ownerfile.Config{})
	return withoutMistaken(cfg, errors.Join(err, clientErr, ownersErr))
}

// withoutMistaken leaves out what is said of a variable that has its mistake
// already, such as one whose path refers to a variable that is not set.
func withoutMistaken(cfg config.Config, err error) error {
	if err == nil {
		return nil
	}
	var rest []error
	for line := range strings.SplitSeq(err.Error(), "\n") {
		variables, _, _ := strings.Cut(line, ": ")
		if !slices.ContainsFunc(strings.Split(variables, ", "), cfg.Mistaken) {
			rest = append(rest, errors.New(line))
		}
	}
	return errors.Join(rest...)
}

// withVariables puts the variable that names a file before each mistake about
// it. The store knows paths only.
func withVariables(cfg config.Config, err error) error {
	var mistakes []error
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimSuffix(line, "\n")
		if names := variablesOf(cfg, line); len(names) > 0 {
			line = strings.Join(names, ", ") + ": " + line
		}
		mistakes = append(mistakes, errors.New(line))
	}
	return errors.Join(mistakes...)
}

// variablesOf returns the variables that name a file which a mistake is about.
func variablesOf(cfg config.Config, mistake string) (names []string) {
	for _, files := range []struct {
		variable string
		paths    []string
	}{
		{"VERNEGATE_TLS_CERT", cfg.TLSCert},
		{"VERNEGATE_TLS_KEY", cfg.TLSKey},
		{"VERNEGATE_TLS_CA", cfg.TLSCA},
		{"VERNEGATE_TLS_CRL", cfg.TLSCRL.Names()},
		{"VERNEGATE_TICKET_KEYS", cfg.TicketKeys},
		{"VERNEGATE_IDENTITY_FILE", []string{string(cfg.IdentityFile)}},
		{"VERNEGATE_BACKEND_TLS_CA", cfg.BackendTLSCA},
		{"VERNEGATE_BACKEND_TLS_CERT", []string{cfg.BackendTLSCert}},
		{"VERNEGATE_BACKEND_TLS_KEY", []string{cfg.BackendTLSKey}},
		{"VERNEGATE_CRL_CA", cfg.CRLCA},
		{"VERNEGATE_ACL_CA", cfg.ACLCA},
		{"VERNEGATE_ACL_CERT", []string{cfg.ACLCert}},
		{"VERNEGATE_ACL_KEY", []string{cfg.ACLKey}},
		{"VERNEGATE_ACL_TOKEN_FILE", []string{cfg.ACLTokenFile}},
	} {
		for _, path := range files.paths {
			if path != "" && strings.Contains(mistake, path) {
				names = append(names, cfg.WithOrigin(files.variable))
				break
			}
		}
	}
	return names
}
