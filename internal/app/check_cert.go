// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/pki"
	"github.com/vernegate/vernegate/internal/untrusted"
	"github.com/vernegate/vernegate/proxy"
	"github.com/vernegate/vernegate/truststore"
)

// CheckCertificate prints what a device would meet that has the key of the certificate in a file, without listening, and
// reports whether one of the listeners would let it in. It asks what a Run with this environment would ask: the
// trust files, OCSP responders, and the sources of owners; of brokers and of Kafka it wants nothing.
func CheckCertificate(ctx context.Context, path string, environ []string, stdout io.Writer) bool {
	r := &report{w: stdout}
	cfg, err := config.Load(environ)
	if err != nil {
		r.failedLines("", err)
		return false
	}
	sent, err := readClientCertificates(path)
	if err != nil {
		r.failedLines("", err)
		return false
	}
	r.tellCertificate(sent[0])
	r.tryCertificate(ctx, cfg, sent)
	return !r.failed
}

// tryCertificate opens what decides about clients, and has it decide.
func (r *report) tryCertificate(ctx context.Context, cfg config.Config, sent []*x509.Certificate) {
	silent := &report{w: r.w, silent: true}
	store, lists := silent.openTrust(ctx, cfg)
	r.failed = silent.failed
	if store == nil {
		return
	}
	defer lists.close()
	files, err := openClientFiles(ctx, cfg, 0, nil)
	r.failedLines("", err)
	file, fileErr := openOwnerFile(ctx, cfg, ownerfile.Config{})
	r.failedLines("", fileErr)
	if err != nil || fileErr != nil {
		return
	}
	none := slog.New(slog.DiscardHandler)
	a := New(cfg, Build{}, none, none)
	client := aclClient(cfg, files)
	defer client.CloseIdleConnections()
	cache := aclCache(cfg, client, a.identity, a.log)
	defer cache.Close()
	owners, err := newSources(cfg, aclOwner(cache), file)
	if err != nil {
		r.failedLines("", err)
		return
	}
	asker := a.newRevocationAsker(store.Current)
	defer asker.close()

	how := a.serverConfig(store, lists, owners, asker)
	var answers []string // by source
	how.Owner = owners.ownerFunc(func(s config.Source, result string) { answers = append(answers, fmt.Sprintf("%s (%s)", s, result)) })
	how.Authorize = r.overheard(cfg, how.Authorize)
	lists.note(sent)
	r.fetchNamed(ctx, store, lists)
	trial := proxy.TryClient(ctx, how, sent)
	r.tellChain(cfg, store.Current(), trial.Peer.Chain)
	r.tellOwner(&how, answers, trial)
	r.tellListeners(a, trial)
}

// fetchNamed fetches the lists that the device's own certificates name, where that is on, as a vernegate at work would do once it has
// met the first device of their CA.
func (r *report) fetchNamed(ctx context.Context, store *truststore.Store, lists *listFetcher) {
	if lists == nil {
		return
	}
	before := lists.status()
	lists.followAll(store.Current)
	r.checkLists(ctx, lists, before)
	_ = store.Reload(ctx) // whose mistakes openTrust has told
}

// overheard has a line tell what OCSP says, if it is asked about the certificate.
func (r *report) overheard(cfg config.Config, authorize proxy.AuthorizeFunc) proxy.AuthorizeFunc {
	if authorize == nil {
		return nil
	}
	return func(ctx context.Context, peer proxy.Peer) (again time.Time, err error) {
		again, err = authorize(ctx, peer)
		switch {
		case err != nil: // which the listeners' lines tell
		case again.IsZero():
			r.print("note", "OCSP is not asked about certificates of this CA")
		default:
			r.ok("OCSP has nothing against it, by an answer or by VERNEGATE_OCSP_ON_ERROR=%v; live sessions are asked about again by %s", cfg.OCSPOnError, again.Format(time.RFC3339))
		}
		return again, err
	}
}

// tellCertificate says which certificate it is.
func (r *report) tellCertificate(leaf *x509.Certificate) {
	r.print("value", "certificate %q, serial %x, SHA-256 fingerprint %v", untrusted.Text(pki.SubjectOf(leaf)), leaf.SerialNumber, pki.FingerprintOf(leaf))
	r.print("value", "valid from %s to %s", leaf.NotBefore.UTC().Format(time.RFC3339), leaf.NotAfter.UTC().Format(time.RFC3339))
}

// tellChain says to which CA the certificate leads, and where it and those above it have been looked up.
func (r *report) tellChain(cfg config.Config, g *truststore.Generation, chain []*x509.Certificate) {
	if len(chain) == 0 {
		return // and the listeners' lines say why
	}
	var names []string
	for _, cert := range chain {
		names = append(names, fmt.Sprintf("%q", untrusted.Text(pki.SubjectOf(cert))))
	}
	r.ok("chain: %s", strings.Join(names, ", issued by "))
	for i, ca := range chain[1:] {
		cert := chain[i]
		lists := g.CRLsAbout(ca)
		if len(lists) == 0 {
			r.warn("revocation of %s: there is no CRL of %q (VERNEGATE_CRL_MISSING=%v)", names[i], untrusted.Text(pki.SubjectOf(ca)), cfg.CRLMissing)
		}
		for _, list := range lists {
			r.ok("revocation of %s: %s does not list serial %x", names[i], nameOfCRL(list), cert.SerialNumber)
		}
	}
}

func nameOfCRL(list truststore.CRL) string {
	text := fmt.Sprintf("the CRL of %q", list.Issuer)
	if list.Number != nil {
		text += fmt.Sprintf(" with number %v", list.Number)
	}
	return text + " of " + list.ThisUpdate.UTC().Format(time.RFC3339)
}

// tellOwner says whose certificate it is, and which client ids that one may use.
func (r *report) tellOwner(how *proxy.Config, answers []string, trial proxy.ClientTrial) {
	if len(answers) > 0 {
		r.print("value", "asked for the owner: %s", strings.Join(answers, ", "))
	}
	if trial.Owner == "" {
		return
	}
	r.ok("owner %q, %s", untrusted.Text(trial.Owner), kindOf(trial))
	r.ok("client ids: %s", how.ClientID.Allowed(untrusted.Text(trial.Owner)))
}

// kindOf says what an owner is by VERNEGATE_SERVICES.
func kindOf(trial proxy.ClientTrial) string {
	if trial.Service {
		return "a service"
	}
	return "a device"
}

// tellListeners says which of the listeners that there are would let the client in. The report fails if none does.
func (r *report) tellListeners(a *App, trial proxy.ClientTrial) {
	welcome := false
	var told string
	for _, e := range a.entrances() {
		if e.address == "" {
			continue
		}
		refusal, refused := trial.Refusals[e.role]
		if !refused {
			r.ok("listener %v (%s=%s) lets it in", e.role, e.variable, e.address)
			welcome = true
			continue
		}
		line := fmt.Sprintf("listener %v (%s=%s) refuses it with %v", e.role, e.variable, e.address, refusal.Reason)
		if refusal.Err != nil && refusal.Err.Error() != told {
			told = refusal.Err.Error()
			line += ": " + strings.ReplaceAll(told, "\n", "; ")
		}
		r.print("refused", "%s", line)
	}
	if !welcome {
		r.failed = true
		r.print("failed", "no listener would let it in")
	}
}
