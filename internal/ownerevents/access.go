// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Access is how brokers are reached. Its files are read for each connection, so that what is in them may be replaced.
type Access struct {
	TLS      bool
	CAFile   string // of the CAs of the brokers, as PEM; "" = those of the system
	CertFile string // what the brokers are shown, as PEM; "" = nothing
	KeyFile  string // of CertFile

	Mechanism    Mechanism // "" = no SASL
	Username     string
	Password     string
	PasswordFile string // "" = Password; white space around it does not count
}

// A Mechanism is a way of SASL.
type Mechanism string

// The mechanisms.
const (
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
)

// UnmarshalText takes the name of a mechanism in any case.
func (m *Mechanism) UnmarshalText(text []byte) error {
	switch name := Mechanism(strings.ToUpper(string(text))); name {
	case Plain, ScramSHA256, ScramSHA512:
		*m = name
		return nil
	}
	return errors.New("expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")
}

// Check returns what is wrong with the files, an error a line.
func (a *Access) Check() error {
	var errs []error
	if a.TLS {
		_, err := a.tlsConfig("")
		errs = append(errs, err)
	}
	if a.Mechanism != "" {
		_, err := a.password()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// dial connects to a broker.
func (a *Access) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTimeout}
	if !a.TLS {
		return dialer.DialContext(ctx, network, address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config, err := a.tlsConfig(host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, network, address)
}

func (a *Access) tlsConfig(host string) (*tls.Config, error) {
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	var errs []error
	if a.CAFile != "" {
		pem, err := os.ReadFile(a.CAFile)
		config.RootCAs = x509.NewCertPool()
		if err == nil && !config.RootCAs.AppendCertsFromPEM(pem) {
			err = fmt.Errorf("%s: no certificate in it", a.CAFile)
		}
		errs = append(errs, err)
	}
	if a.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(a.CertFile, a.KeyFile)
		if err != nil {
			err = fmt.Errorf("%s, %s: %w", a.CertFile, a.KeyFile, err)
		}
		config.Certificates = []tls.Certificate{pair}
		errs = append(errs, err)
	}
	return config, errors.Join(errs...)
}

// mechanisms are what a broker is offered.
func (a *Access) mechanisms() []sasl.Mechanism {
	switch a.Mechanism {
	case Plain:
		return []sasl.Mechanism{plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := a.password()
			return plain.Auth{User: a.Username, Pass: password}, err
		})}
	case ScramSHA256:
		return []sasl.Mechanism{scram.Sha256(a.scram)}
	case ScramSHA512:
		return []sasl.Mechanism{scram.Sha512(a.scram)}
	}
	return nil
}

func (a *Access) scram(context.Context) (scram.Auth, error) {
	password, err := a.password()
	return scram.Auth{User: a.Username, Pass: password}, err
}

func (a *Access) password() (string, error) {
	if a.PasswordFile == "" {
		return a.Password, nil
	}
	content, err := os.ReadFile(a.PasswordFile)
	password := strings.TrimSpace(string(content))
	if err == nil && password == "" {
		err = fmt.Errorf("%s: no password in it", a.PasswordFile)
	}
	return password, err
}

// isTruncated reports whether a broker has said that what is to be read next is not there any more.
func isTruncated(err error) bool {
	return errors.Is(err, kerr.OffsetOutOfRange) || errors.Is(err, kerr.UnknownTopicID)
}
