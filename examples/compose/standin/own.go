// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// topic is where x509-identity-mgmt publishes, behind the tenant and a dot.
const topic = "dojot.x509-identity-mgmt.certificates"

// publishTimeout is for a Kafka that has only just been started, too.
const publishTimeout = time.Minute

// An event is what x509-identity-mgmt publishes when the owner of a certificate changes.
type event struct {
	Metadata metadata `json:"metadata"`
	Data     struct {
		EventType string    `json:"eventType"`
		EventData ownership `json:"eventData"`
	} `json:"data"`
}

type metadata struct {
	MsgID       string `json:"msgid"`
	Timestamp   int64  `json:"timestamp"` // milliseconds since 1970
	Service     string `json:"service"`
	ContentType string `json:"contentType"`
	Tenant      string `json:"tenant,omitempty"`
}

type ownership struct {
	Fingerprint       string  `json:"fingerprint"`
	PEM               string  `json:"pem"`
	BelongsTo         *holder `json:"belongsTo,omitempty"`
	PreviousBelongsTo *holder `json:"previousBelongsTo,omitempty"`
}

// A holder has a certificate: a device of the event's tenant, or an application of none.
type holder struct {
	Device      string `json:"device,omitempty"`
	Application string `json:"application,omitempty"`
}

// own gives the certificate of a client to an owner, "" for nobody, as x509-identity-mgmt does: it publishes the event. certificate-acl,
// which reads the same event in dojot, is told by way of its file.
func own(brokers, dir, client, owner string) error {
	cert, err := readCertificate(filepath.Join(dir, client+".crt"))
	if err != nil {
		return err
	}
	owners, err := readOwners(dir)
	if err != nil {
		return err
	}
	fp := fingerprint(cert)
	before := owners[fp]
	if before == owner {
		return fmt.Errorf("%s belongs to %q already", client, owner)
	}
	e, tenant := eventOf(cert, before, owner)
	if err := publish(brokers, tenant, e); err != nil {
		return err
	}
	if owner == "" {
		delete(owners, fp)
	} else {
		owners[fp] = owner
	}
	return writeOwners(dir, owners)
}

// eventOf returns the event of a change, and the tenant in whose topic it belongs.
func eventOf(cert *x509.Certificate, before, owner string) (e event, tenant string) {
	kind := "ownership.update"
	switch {
	case before == "":
		kind = "ownership.create"
	case owner == "":
		kind = "ownership.delete"
	}
	fromTenant, from := holderOf(before)
	tenant, to := holderOf(owner)
	if owner == "" {
		tenant = fromTenant
	}
	e.Metadata = metadata{
		MsgID: rand.Text(), Timestamp: time.Now().UnixMilli(), Service: "x509-identity-mgmt",
		ContentType: "application/vnd.dojot.x509-identities+json", Tenant: tenant,
	}
	e.Data.EventType = kind
	e.Data.EventData = ownership{
		Fingerprint: fingerprint(cert), BelongsTo: to, PreviousBelongsTo: from,
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
	}
	return e, tenant
}

// holderOf takes "tenant:device", or the name of an application, apart. Nobody is nil.
func holderOf(owner string) (tenant string, h *holder) {
	if owner == "" {
		return "", nil
	}
	if tenant, device, found := strings.Cut(owner, ":"); found {
		return tenant, &holder{Device: device}
	}
	return "", &holder{Application: owner}
}

// publish returns when Kafka has the event.
func publish(brokers, tenant string, e event) error {
	name := topic
	if tenant != "" {
		name = tenant + "." + topic
	}
	value, err := json.Marshal(e)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(100))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: name, Value: value}).FirstErr(); err != nil {
		return fmt.Errorf("publishing in %s: %w", name, err)
	}
	return nil
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s: no certificate in it", path)
	}
	return x509.ParseCertificate(block.Bytes)
}
