// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"encoding/hex"
	"math"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// status returns what there is to know now.
func (a *App) status() admin.Status {
	now := time.Now()
	s := admin.Status{
		State:         admin.Ready,
		Host:          a.host,
		Version:       a.build.Version,
		Commit:        a.build.Commit,
		Go:            a.build.Go,
		Started:       a.started,
		Now:           now,
		UptimeSeconds: int64(now.Sub(a.started) / time.Second),
		LastLook:      a.reloads.last.Load(),
		CRLSources:    sourceStatus(a.lists.Load().status(), time.Duration(a.cfg.CRLRefresh), now),
	}
	if err := a.notReady(); err != nil {
		s.State, s.Detail = admin.NotReady, err.Error()
		switch err {
		case errNoGeneration:
			s.State = admin.Starting
		case errShuttingDown:
			s.State = admin.Draining
		}
	}
	if w := a.parts.Load(); w != nil {
		s.Trust = trustStatus(w.store.Current(), now)
		s.Trust.Refused, s.Trust.Notices = partsStatus(w)
		for _, cert := range w.files.certificates() {
			s.Trust.Certificates = append(s.Trust.Certificates, certificateStatus(admin.KindClient, cert, now))
		}
		if a.cfg.Identity.Has(config.CertificateACL) {
			s.CertificateACL = a.aclStatus(w)
		}
		s.IdentityFile = identityFileStatus(w.owners)
		if w.events != nil {
			s.Kafka = kafkaStatus(w.events.Status())
		}
		s.Sessions = map[string]int{}
		for _, role := range proxy.Roles() {
			s.Sessions[role.String()] = w.server.Count(role)
		}
		s.OCSP = a.ocspStatus(w.asker)
		s.Backends = backendStatus(w.pool.Status())
		s.Limits = a.limits(w.server)
		s.AnyClientID = proxy.ClientIDPolicy(a.cfg.ClientID) == proxy.AnyClientID
	}
	return s
}

// limits lists what is bounded, and of what is configured only that.
func (a *App) limits(server *proxy.Server) []admin.Limit {
	used, most := server.Descriptors()
	descriptors, _ := connectionDescriptors() // has been asked for before there was a server
	sessions := 0
	for _, role := range proxy.Roles() {
		sessions += server.Count(role)
	}
	usedUp := "New connections wait until others end."
	if a.cfg.ReusePort {
		usedUp = "New connections are left to the other processes at this address until a tenth is free."
	}
	list := []admin.Limit{
		{Name: "file descriptors", Limit: most, Used: &used, UsedUp: usedUp},
		{Name: "bytes of a CONNECT", Limit: int(a.cfg.MaxConnectSize)},
	}
	for _, l := range []admin.Limit{
		{Name: "sessions", Limit: int(a.cfg.MaxConnections), Used: &sessions, UsedUp: "New sessions are refused."},
		{Name: "sessions of an owner", Limit: int(a.cfg.MaxConnectionsPerOwner)},
		{Name: "connections from an address", Limit: int(a.cfg.MaxConnectionsPerIP)},
		{Name: "handshakes a second", Limit: int(a.cfg.HandshakeRate)},
		{Name: "handshakes at a time", Limit: a.maxHandshakes(descriptors)},
	} {
		if l.Limit > 0 {
			list = append(list, l)
		}
	}
	return list
}

func (a *App) aclStatus(w *components) *admin.CertificateACL {
	s := a.identity.status()
	s.URL = config.Redact(string(a.cfg.ACLURL))
	s.CacheEntries, s.CacheSize = w.cache.Len(), int(a.cfg.ACLCacheSize)
	return s
}

func (a *App) ocspStatus(asker *revocationAsker) *admin.OCSP {
	if asker == nil {
		return nil
	}
	s := &admin.OCSP{
		OnError:      a.cfg.OCSPOnError.String(),
		CacheEntries: asker.cache.Len(),
		CacheSize:    asker.cache.Size,
		Issuers:      asker.metrics.status(),
	}
	if u := a.cfg.OCSPURL.URL; u != nil {
		s.URL = config.Redact(u.String())
	}
	return s
}

func backendStatus(brokers []backend.Status) (list []admin.Backend) {
	for _, b := range brokers {
		list = append(list, admin.Backend{
			Address:  b.Addr,
			Name:     b.Name,
			Sessions: b.Sessions,
			State:    b.State.String(),
			Severity: backendSeverity(b.State),
			Since:    b.Since,
			Reason:   string(b.Reason),
			Detail:   b.Detail,
			NextTry:  b.NextTry,
		})
	}
	return list
}

// backendSeverity says how urgently an operator has to look at a broker.
func backendSeverity(s backend.State) admin.Severity {
	switch s {
	case backend.Up:
		return admin.OK
	case backend.Returning, backend.Gone:
		return admin.Warning
	}
	return admin.Critical
}

func trustStatus(g *truststore.Generation, now time.Time) *admin.Trust {
	s := &admin.Trust{Generation: g.Sequence(), Loaded: g.Loaded()}
	for _, f := range g.Files() {
		s.Files = append(s.Files, admin.File{Path: untrusted.Text(f.Path), SHA256: hex.EncodeToString(f.SHA256[:])})
	}
	for _, pair := range g.ServerCertificates() {
		s.Certificates = append(s.Certificates, certificateStatus(admin.KindServer, pair.Leaf, now))
	}
	for _, ca := range g.CAs() {
		s.Certificates = append(s.Certificates, certificateStatus(admin.KindCA, ca, now))
	}
	for _, list := range g.CRLs() {
		s.CRLs = append(s.CRLs, crlStatus(list, now))
	}
	return s
}

// partsStatus is what is wrong with parts of the files, and what is odd.
func partsStatus(c *components) (refused []admin.Part, notices []string) {
	for _, r := range c.store.Refusals() {
		refused = append(refused, admin.Part{
			Part: string(r.Kind), File: untrusted.Text(r.File), Name: untrusted.Text(r.Name), Error: strings.Join(untrustedLines(r.Err), "\n"), Since: r.Since,
		})
	}
	for _, r := range c.files.refusals() {
		refused = append(refused, admin.Part{
			Part: r.Name, File: untrusted.Text(strings.Join(r.Paths, ", ")), Error: strings.Join(untrustedLines(r.Err), "\n"), Since: r.Since,
		})
	}
	for _, n := range c.store.Notices() {
		notices = append(notices, untrusted.Text(n.String()))
	}
	return refused, notices
}

func certificateStatus(kind string, cert *x509.Certificate, now time.Time) admin.Certificate {
	return admin.Certificate{
		Kind:     kind,
		Subject:  untrusted.Text(pki.SubjectOf(cert)),
		Serial:   cert.SerialNumber.Text(16),
		NotAfter: cert.NotAfter,
		DaysLeft: int(math.Floor(cert.NotAfter.Sub(now).Hours() / 24)),
		Severity: severityOf(certificateDue(kind, cert), now),
	}
}

func crlStatus(list truststore.CRL, now time.Time) admin.CRL {
	s := admin.CRL{
		Issuer:     untrusted.Text(list.Issuer),
		File:       untrusted.Text(list.Path),
		ThisUpdate: list.ThisUpdate,
		NextUpdate: list.NextUpdate,
		GoodUntil:  list.GoodUntil,
		Entries:    list.Entries,
		Severity:   severityOf(crlDue(list), now),
	}
	if list.Number != nil {
		s.Number = list.Number.String()
	}
	if list.BaseNumber != nil {
		s.DeltaFile, s.BaseNumber = untrusted.Text(list.DeltaPath), list.BaseNumber.String()
	}
	return s
}
