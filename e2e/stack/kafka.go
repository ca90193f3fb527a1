// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// topicSuffix is how the topics of x509-identity-mgmt end.
const topicSuffix = "dojot.x509-identity-mgmt.certificates"

// Kafka is a Kafka in this process, and x509-identity-mgmt, which publishes on it.
type Kafka struct {
	Addr string // what VERNEGATE_KAFKA_BROKERS must be

	port    int
	cluster *kfake.Cluster // nil while down
	client  *kgo.Client
}

// StartKafka starts a Kafka without topics. The caller closes it.
func StartKafka() (*Kafka, error) {
	l, err := listenFree()
	if err != nil {
		return nil, err
	}
	k := &Kafka{Addr: l.Addr().String(), port: l.Addr().(*net.TCPAddr).Port}
	_ = l.Close()
	return k, k.Up()
}

// Up starts (again), without what was published before.
func (k *Kafka) Up() (err error) {
	k.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(k.port), kfake.AllowAutoTopicCreation(), kfake.DefaultNumPartitions(3))
	if err != nil {
		return fmt.Errorf("starting Kafka: %w", err)
	}
	k.client, err = kgo.NewClient(kgo.SeedBrokers(k.Addr), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(100), kgo.ProducerLinger(0))
	return err
}

// Down cuts every connection and listens no more.
func (k *Kafka) Down() {
	if k.cluster != nil {
		k.client.Close()
		k.cluster.Close()
		k.cluster = nil
	}
}

// Publish publishes any bytes in the topic of a tenant, "" for that of applications, and returns when Kafka has them.
func (k *Kafka) Publish(ctx context.Context, tenant string, value []byte) error {
	return k.client.ProduceSync(ctx, &kgo.Record{Topic: TopicOf(tenant), Value: value}).FirstErr()
}

// Flood publishes in any topic without waiting; Flush waits for all that was published so.
func (k *Kafka) Flood(ctx context.Context, topic string, value []byte) {
	k.client.Produce(ctx, &kgo.Record{Topic: topic, Value: value}, nil)
}

// Flush returns when Kafka has all events.
func (k *Kafka) Flush(ctx context.Context) error { return k.client.Flush(ctx) }

// TopicOf is the topic of a tenant, "" for that of applications.
func TopicOf(tenant string) string {
	if tenant == "" {
		return topicSuffix
	}
	return tenant + "." + topicSuffix
}

// Own publishes that a certificate belongs to a device of a tenant: kind is create or update.
func (k *Kafka) Own(ctx context.Context, kind string, cert *x509.Certificate, tenant, device string) error {
	return k.Publish(ctx, tenant, Event(kind, Fingerprint(cert), tenant, `"belongsTo":{"device":`+strconv.Quote(device)+`}`))
}

// Disown publishes that a certificate does not belong to a device of a tenant any more.
func (k *Kafka) Disown(ctx context.Context, cert *x509.Certificate, tenant, device string) error {
	return k.Publish(ctx, tenant, Event("delete", Fingerprint(cert), tenant, `"previousBelongsTo":{"device":`+strconv.Quote(device)+`}`))
}

// Event is an event as x509-identity-mgmt writes it, but for the certificate.
func Event(kind, fingerprint, tenant, owners string) []byte {
	return EventAt(time.Now(), kind, fingerprint, tenant, owners)
}

// EventAt is Event by a clock that shows another time.
func EventAt(at time.Time, kind, fingerprint, tenant, owners string) []byte {
	return fmt.Appendf(nil, `{"metadata":{"msgid":"b3e9a7f2-2f53-4f2b-a3cb-5a4f6ac0e1d4","timestamp":%d,"service":"x509-identity-mgmt","tenant":%q,`+
		`"contentType":"application/vnd.dojot.x509-identities+json"},"data":{"eventType":"ownership.%s","eventData":{"fingerprint":%q,`+
		`"issuedByDojotPki":true,"autoRegistered":false,%s}}}`, at.UnixMilli(), tenant, kind, fingerprint, owners)
}
