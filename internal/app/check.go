// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/backend"
	"github.com/vernegate/vernegate/internal/clienttls"
	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/lastgood"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// Check prints what Run would meet with this environment, without listening
// and without waiting for files to become good, and reports whether all is
// well. Warnings do not count. It speaks MQTT to the backends unless noMQTT is set:
// brokers log that.
func Check(ctx context.Context, noMQTT bool, environ []string, stdout io.Writer) bool {
	r := &report{w: stdout}
	cfg, err := config.Load(environ)
	if err != nil {
		r.failedLines("", err)
		r.failedLines("", TryFiles(ctx, cfg))
		r.print("skipped", "certificate-acl and the backends, as the configuration is wrong")
		return !r.failed
	}
	r.ok("configuration")
	for _, line := range cfg.Values() {
		r.print("value", "%s", line)
	}
	for _, line := range cfg.Warnings() {
		r.warn("%s", line)
	}
	for _, name := range cfg.TLSCiphers.Insecure() {
		r.warn("VERNEGATE_TLS_CIPHERS: %s is insecure", name)
	}
	if proxy.ClientIDPolicy(cfg.ClientID) == proxy.AnyClientID {
		r.print("note", "VERNEGATE_CLIENT_ID=any: an owner may use every client id, also one of another owner, whose session the broker then ends")
	}
	r.checkFiles(ctx, cfg)
	r.checkOwnerFile(ctx, cfg)
	files, err := openClientFiles(ctx, cfg, 0, nil)
	if err != nil {
		r.failedLines("", err)
		r.print("skipped", "certificate-acl and the backends, as files for them are wrong")
		return !r.failed
	}
	r.checkClientFiles(files)
	if cfg.Identity.Has(config.CertificateACL) {
		r.checkACL(ctx, cfg, files)
	}
	r.checkKafka(ctx, cfg)
	r.checkBackends(ctx, newBrokers(cfg, files, nil), noMQTT)
	return !r.failed
}

// report prints findings, one a line.
type report struct {
	w      io.Writer
	silent bool // about all that has not failed
	failed bool
}

func (r *report) print(verdict, format string, args ...any) {
	if r.silent && verdict != "failed" {
		return
	}
	fmt.Fprintf(r.w, "%-8s %s\n", verdict, fmt.Sprintf(format, args...))
}

func (r *report) ok(format string, args ...any)   { r.print("ok", format, args...) }
func (r *report) warn(format string, args ...any) { r.print("warning", format, args...) }

// failedLines prints an error that may have several lines, or is nil.
func (r *report) failedLines(subject string, err error) {
	if err == nil {
		return
	}
	r.failed = true
	for line := range strings.SplitSeq(err.Error(), "\n") {
		r.print("failed", "%s%s", subject, line)
	}
}

// openTrust reads the trust files once, and fetches the lists that are not files. The store is nil if there is none; else the
// caller closes lists. What is wrong with single parts is left for the caller to tell.
func (r *report) openTrust(ctx context.Context, cfg config.Config) (*truststore.Store, *listFetcher) {
	lists, err := tryListFetcher(cfg, tryListTLS(ctx, cfg))
	if err != nil {
		r.failedLines("", err)
		return nil, nil
	}
	r.checkLists(ctx, lists, nil)
	trust := trustConfig(cfg, nil)
	trust.Remotes = lists.remotes
	store, err := openTrust(ctx, cfg, trust)
	if err != nil {
		lists.close()
		r.failedLines("", err)
		return nil, nil
	}
	if found := lists.status(); lists != nil {
		lists.open(store)
		r.checkLists(ctx, lists, found) // and what certificates and lists name
		_ = store.Reload(ctx)
	}
	return store, lists
}

// checkFiles tells about the trust files.
func (r *report) checkFiles(ctx context.Context, cfg config.Config) {
	store, lists := r.openTrust(ctx, cfg)
	if store == nil {
		return
	}
	defer lists.close()
	g, now := store.Current(), time.Now()
	for _, pair := range g.ServerCertificates() {
		r.checkExpiry("server certificate", admin.KindServer, pair.Leaf, now)
	}
	for _, ca := range g.CAs() {
		r.checkExpiry("CA", admin.KindCA, ca, now)
	}
	for _, list := range g.CRLs() {
		r.checkCRL(list, now)
	}
	if cfg.CRLMissing == truststore.Deny {
		for _, ca := range g.CAsWithoutCRL() {
			r.warn("VERNEGATE_CRL_MISSING=deny: CA %q has no CRL, and its devices are refused", ca.Subject)
		}
	}
	r.checkOCSP(ctx, cfg, g)
	if n := len(g.TicketKeys()); n > 0 {
		r.ok("session ticket keys: %d", n)
	}
	for _, n := range store.Notices() {
		r.warn("%v", n)
	}
	for _, part := range store.Refusals() {
		r.failedLines("", withVariables(cfg, part.Err))
	}
}

// checkOwnerFile reads the file of owners once, if there is one.
func (r *report) checkOwnerFile(ctx context.Context, cfg config.Config) {
	store, err := openOwnerFile(ctx, cfg, ownerfile.Config{})
	if err != nil {
		r.failedLines("", err)
	}
	if err != nil || store == nil {
		return
	}
	status := store.Status()
	for _, line := range status.Notices {
		r.warn("file of owners %s, %s: its certificate is refused", status.Path, line)
	}
	r.ok("file of owners %s with %d lines", status.Path, status.Lines)
}

// checkExpiry tells about a certificate, called name, of a kind of package admin.
func (r *report) checkExpiry(name, kind string, cert *x509.Certificate, now time.Time) {
	end := cert.NotAfter.Format(time.RFC3339)
	switch {
	case now.After(cert.NotAfter):
		r.warn("%s %q has expired on %s", name, cert.Subject, end)
	case certificateDue(kind, cert).WarningAt(now):
		r.warn("%s %q expires soon, on %s", name, cert.Subject, end)
	default:
		r.ok("%s %q expires on %s", name, cert.Subject, end)
	}
}

func (r *report) checkCRL(list truststore.CRL, now time.Time) {
	next, until := list.NextUpdate.Format(time.RFC3339), list.GoodUntil.Format(time.RFC3339)
	if list.BaseNumber != nil {
		r.ok("delta of %q in %s, number %v, applies to number %v", list.Issuer, list.DeltaPath, list.Number, list.BaseNumber)
	}
	switch {
	case list.NextUpdate.IsZero():
		r.ok("CRL of %q with %d entries", list.Issuer, list.Entries)
	case !now.After(list.NextUpdate):
		r.ok("CRL of %q with %d entries, next update on %s", list.Issuer, list.Entries, next)
	case now.After(list.GoodUntil):
		r.warn("CRL of %q with %d entries should have been replaced on %s: the devices of this CA are refused", list.Issuer, list.Entries, next)
	case crlDue(list).WarningAt(now):
		r.warn("CRL of %q with %d entries should have been replaced on %s, and is used until %s", list.Issuer, list.Entries, next, until)
	default:
		r.ok("CRL of %q with %d entries should have been replaced on %s, and is used until %s: a few hours are usual", list.Issuer, list.Entries, next, until)
	}
}

// checkClientFiles tells about what vernegate believes and shows as a client.
func (r *report) checkClientFiles(files clientFiles) {
	now := time.Now()
	for _, c := range []struct {
		server string
		files  *lastgood.Files[*clienttls.Credentials]
	}{{"backends", files.backend}, {"certificate-acl", files.acl}, {"servers of CRLs", files.crl}} {
		if c.files == nil {
			continue
		}
		credentials := c.files.Current()
		for _, ca := range credentials.CAs {
			r.checkExpiry("CA for "+c.server, admin.KindCA, ca, now)
		}
		if len(credentials.CAs) == 0 {
			r.ok("%s are verified against the CAs of the system", c.server)
		}
		if credentials.Pair != nil {
			r.checkExpiry("certificate for "+c.server, admin.KindServer, credentials.Pair.Leaf, now)
		}
	}
}

// checkACL asks certificate-acl about a certificate that cannot exist.
func (r *report) checkACL(ctx context.Context, cfg config.Config, files clientFiles) {
	client := aclClient(cfg, files)
	defer client.CloseIdleConnections()
	name := "certificate-acl at " + config.Redact(string(cfg.ACLURL))
	if files.token != nil && strings.HasPrefix(string(cfg.ACLURL), "http:") {
		r.warn("VERNEGATE_ACL_TOKEN_FILE: the token is sent to %s in clear text", name)
	}
	if !strings.HasSuffix(string(cfg.ACLURL), "/") {
		r.warn("CERTIFICATE_ACL_URL: %s has no slash at its end, and the fingerprint is appended to it as it is", config.Redact(string(cfg.ACLURL)))
	}
	_, ok, err := client.Lookup(ctx, pki.Fingerprint{})
	failure, failed := errors.AsType[*certacl.LookupError](err)
	switch {
	case failed:
		r.failedLines(name+" ", errors.New(failure.Details()))
	case err != nil:
		r.failedLines(name+": ", err)
	case ok:
		r.warn("%s names an owner of a certificate that does not exist", name)
	default:
		r.ok("%s answers 404 to a made-up fingerprint; whether the path is right cannot be told", name)
	}
}

// checkBackends resolves the backends' names and asks each of them whether it
// is well, as serve will do again and again, and then as a client.
func (r *report) checkBackends(ctx context.Context, all *brokers, noMQTT bool) {
	all.pool.Resolve(ctx)
	for _, b := range all.pool.Status() {
		r.checkBackend(ctx, all, b, noMQTT)
	}
}

func (r *report) checkBackend(ctx context.Context, all *brokers, b backend.Status, noMQTT bool) {
	subject := "backend " + b.Name
	if b.Addr != b.Name {
		subject += " at " + b.Addr
	}
	err := errors.New(b.Detail)
	if b.State != backend.Unresolved {
		err = all.probeOnce(ctx, b.Addr)
	}
	if err != nil {
		r.failedLines(subject+": ", err)
		return
	}
	if noMQTT {
		r.ok("%s is well (MQTT was not spoken)", subject)
		return
	}
	switch code, err := all.try(ctx, b.Addr, 0); {
	case err != nil:
		r.failedLines(subject+": ", err)
	case code != 0:
		r.ok("%s is well, and refuses a client that nobody knows with code %d", subject, code)
	default:
		r.ok("%s is well and accepts clients", subject)
	}
}
