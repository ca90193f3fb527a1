// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/internal/ownerevents"
)

func TestKafka(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t); len(c.KafkaBrokers) != 0 || c.KafkaTopics != `^.*dojot\.x509-identity-mgmt\.certificates$` {
		t.Errorf("got brokers %q and topics %q", c.KafkaBrokers, c.KafkaTopics)
	}
	c := mustLoad(t, "VERNEGATE_KAFKA_BROKERS=kafka-0:9092, 192.0.2.1:9093", "VERNEGATE_KAFKA_TOPICS=^a$", "VERNEGATE_KAFKA_TLS=on",
		"VERNEGATE_KAFKA_TLS_CA=ca.crt", "VERNEGATE_KAFKA_TLS_CERT=a.crt", "VERNEGATE_KAFKA_TLS_KEY=a.key",
		"VERNEGATE_KAFKA_SASL=scram-sha-512", "VERNEGATE_KAFKA_SASL_USERNAME=gate", "VERNEGATE_KAFKA_SASL_PASSWORD=hunter2")
	if want := []string{"kafka-0:9092", "192.0.2.1:9093"}; !slices.Equal(c.KafkaBrokers, want) || c.KafkaTopics != "^a$" {
		t.Errorf("got brokers %q and topics %q", c.KafkaBrokers, c.KafkaTopics)
	}
	want := ownerevents.Access{
		TLS: true, CAFile: "ca.crt", CertFile: "a.crt", KeyFile: "a.key",
		Mechanism: ownerevents.ScramSHA512, Username: "gate", Password: "hunter2",
	}
	if got := c.KafkaAccess(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if values := strings.Join(c.Values(), "\n"); strings.Contains(values, "hunter2") {
		t.Errorf("the password is shown:\n%s", values)
	}
}

func TestKafkaMistakes(t *testing.T) {
	t.Parallel()
	const on = "VERNEGATE_KAFKA_BROKERS=kafka:9092"
	for want, environ := range map[string][]string{
		`VERNEGATE_KAFKA_BROKERS="kafka,:1,b:0": "kafka" is not a host:port such as kafka:9092; ":1" is not a host:port such as kafka:9092; "b:0" is not a host:port such as kafka:9092`: {"VERNEGATE_KAFKA_BROKERS=kafka,:1,b:0"},
		`VERNEGATE_KAFKA_TOPICS="(": expected a regular expression as Go has them`:                                                                                                       {on, "VERNEGATE_KAFKA_TOPICS=("},
		`VERNEGATE_KAFKA_TOPICS="a": has no effect without VERNEGATE_KAFKA_BROKERS`:                                                                                                      {"VERNEGATE_KAFKA_TOPICS=a"},
		`VERNEGATE_KAFKA_TLS="on": has no effect without VERNEGATE_KAFKA_BROKERS`:                                                                                                        {"VERNEGATE_KAFKA_TLS=on"},
		`VERNEGATE_KAFKA_TLS_CA="a": has no effect without VERNEGATE_KAFKA_TLS=on`:                                                                                                       {on, "VERNEGATE_KAFKA_TLS_CA=a"},
		`VERNEGATE_KAFKA_TLS_CERT="a": expected its key in VERNEGATE_KAFKA_TLS_KEY, too`:                                                                                                 {on, "VERNEGATE_KAFKA_TLS=on", "VERNEGATE_KAFKA_TLS_CERT=a"},
		`VERNEGATE_KAFKA_SASL="gssapi": expected PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512`:                                                                                                  {on, "VERNEGATE_KAFKA_SASL=gssapi"},
		`VERNEGATE_KAFKA_SASL_USERNAME="": expected a name, as VERNEGATE_KAFKA_SASL is set`:                                                                                              {on, "VERNEGATE_KAFKA_SASL=PLAIN", "VERNEGATE_KAFKA_SASL_PASSWORD=x"},
		`VERNEGATE_KAFKA_SASL_PASSWORD_FILE="": expected a file with the password, as VERNEGATE_KAFKA_SASL is set`:                                                                       {on, "VERNEGATE_KAFKA_SASL=PLAIN", "VERNEGATE_KAFKA_SASL_USERNAME=x"},
		`VERNEGATE_KAFKA_SASL_PASSWORD_FILE="f": expected only one of it and VERNEGATE_KAFKA_SASL_PASSWORD`:                                                                              {on, "VERNEGATE_KAFKA_SASL=PLAIN", "VERNEGATE_KAFKA_SASL_USERNAME=x", "VERNEGATE_KAFKA_SASL_PASSWORD=hunter2", "VERNEGATE_KAFKA_SASL_PASSWORD_FILE=f"},
		`VERNEGATE_KAFKA_SASL_PASSWORD: has no effect without VERNEGATE_KAFKA_SASL`:                                                                                                      {on, "VERNEGATE_KAFKA_SASL_PASSWORD=hunter2"},
		`VERNEGATE_KAFKA_BROKERS="kafka:9092": has no effect without certificate-acl in VERNEGATE_IDENTITY`:                                                                              {on, "VERNEGATE_IDENTITY=subject", "VERNEGATE_IDENTITY_TEMPLATE={cn}"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, err := Load(environ)
			if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v", err)
			}
		})
	}
}
