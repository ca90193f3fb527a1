// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"github.com/vernegate/vernegate/internal/ownerevents"
)

// kafkaBrokers are brokers as host:port. A host that is a name is not resolved here.
type kafkaBrokers []string

// UnmarshalText parses host:port elements separated by commas and names every
// one that is wrong.
func (l *kafkaBrokers) UnmarshalText(text []byte) error {
	addresses, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected host:port of Kafka brokers separated by commas", err)
	}
	var errs []error
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || !isPort(port, 1) {
			errs = append(errs, fmt.Errorf("%q is not a host:port such as kafka:9092", address))
		}
	}
	*l = addresses
	return joinInLine(errs)
}

// A topicPattern is a regular expression that names of topics are matched with.
type topicPattern string

// UnmarshalText takes what Go's regexp compiles.
func (p *topicPattern) UnmarshalText(text []byte) error {
	if _, err := regexp.Compile(string(text)); err != nil {
		return fmt.Errorf("expected a regular expression as Go has them: %w", err)
	}
	*p = topicPattern(text)
	return nil
}

// A secret is text that is not shown.
type secret string

// UnmarshalText takes any text but white space, which is no part of it at its ends.
func (s *secret) UnmarshalText(text []byte) error {
	*s = secret(strings.TrimSpace(string(text)))
	if *s == "" {
		return errors.New("is blank")
	}
	return nil
}

// String does not tell the secret, lest it ends up in a log.
func (secret) String() string { return "(secret)" }

// KafkaAccess is how the brokers of Kafka are reached.
func (c Config) KafkaAccess() ownerevents.Access {
	return ownerevents.Access{
		TLS:      bool(c.KafkaTLS),
		CAFile:   c.KafkaTLSCA,
		CertFile: c.KafkaTLSCert,
		KeyFile:  c.KafkaTLSKey,

		Mechanism:    c.KafkaSASL,
		Username:     c.KafkaSASLUsername,
		Password:     string(c.KafkaSASLPassword),
		PasswordFile: c.KafkaSASLPasswordFile,
	}
}

// validateKafka reports variables that nothing comes of, and what is missing beside others.
func (c Config) validateKafka(m *mistakes) {
	const prefix = "VERNEGATE_KAFKA_"
	if len(c.KafkaBrokers) == 0 && !m.wrong[prefix+"BROKERS"] {
		for _, rest := range []string{"TOPICS", "TLS"} {
			if !m.readings[prefix+rest].isDefault {
				m.addWithoutEffect(prefix+rest, "without "+prefix+"BROKERS")
			}
		}
		for _, rest := range []string{"TLS_CA", "TLS_CERT", "TLS_KEY", "SASL", "SASL_USERNAME", "SASL_PASSWORD", "SASL_PASSWORD_FILE"} {
			m.addWithoutEffect(prefix+rest, "without "+prefix+"BROKERS")
		}
		return
	}
	if len(c.KafkaBrokers) > 0 && !c.Identity.Has(CertificateACL) && !m.wrong["VERNEGATE_IDENTITY"] {
		m.add(prefix+"BROKERS", "has no effect without certificate-acl in VERNEGATE_IDENTITY, whose answers the events overrule")
	}
	if !bool(c.KafkaTLS) && !m.wrong[prefix+"TLS"] {
		for _, rest := range []string{"TLS_CA", "TLS_CERT", "TLS_KEY"} {
			m.addWithoutEffect(prefix+rest, "without "+prefix+"TLS=on")
		}
	}
	m.addHalfPair(prefix+"TLS_CERT", c.KafkaTLSCert, prefix+"TLS_KEY", c.KafkaTLSKey)
	c.validateSASL(m, prefix+"SASL")
}

func (c Config) validateSASL(m *mistakes, prefix string) {
	if c.KafkaSASL == "" {
		if !m.wrong[prefix] {
			for _, rest := range []string{"_USERNAME", "_PASSWORD", "_PASSWORD_FILE"} {
				m.addWithoutEffect(prefix+rest, "without "+prefix)
			}
		}
		return
	}
	if c.KafkaSASLUsername == "" {
		m.add(prefix+"_USERNAME", "expected a name, as %s is set", prefix)
	}
	switch {
	case c.KafkaSASLPassword != "" && c.KafkaSASLPasswordFile != "":
		m.add(prefix+"_PASSWORD_FILE", "expected only one of it and %s_PASSWORD", prefix)
	case c.KafkaSASLPassword == "" && c.KafkaSASLPasswordFile == "" && !m.wrong[prefix+"_PASSWORD"]:
		m.add(prefix+"_PASSWORD_FILE", "expected a file with the password, as %s is set", prefix)
	}
}
