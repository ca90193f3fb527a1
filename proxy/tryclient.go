// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"

	"github.com/vernegate/vernegate/internal/pki"
)

// A ClientTrial is what a client would meet that has the key of a certificate.
type ClientTrial struct {
	// Peer is the client by its certificate; its Chain is empty unless the Trust accepts it.
	Peer Peer
	// Owner is "" unless the client has one that may be a username.
	Owner string
	// Service says what the owner is.
	Service bool
	// Refusals are why it is not let in by the listeners with a role, of which those are left out that let it in.
	Refusals map[Role]Refusal
}

// A Refusal is why a client is not let in.
type Refusal struct {
	Reason Reason
	Err    error // nil when the reason says it all
}

// TryClient finds out what a client would meet that sends these certificates, its own first; there has to be one. It asks
// Config.Trust, Owner and Authorize as a Server does, and uses Service and Admit of cfg beside them. What depends on more
// than the certificate is left out: limits, brokers, and what else the client says in its handshake and its CONNECT.
func TryClient(ctx context.Context, cfg Config, sent []*x509.Certificate) ClientTrial {
	cfg.setDefaults()
	chain, err := acceptedChain(cfg.Trust(), &tls.ConnectionState{PeerCertificates: sent})
	if err != nil {
		return ClientTrial{Refusals: refusedBy(Roles(), func(Role) error { return because(handshakeReason(err), err) })}
	}
	trial := ClientTrial{Peer: Peer{Chain: chain, Fingerprint: pki.FingerprintOf(chain[0])}}
	id := cfg.ask(ctx, trial.Peer)
	if id.ok && CheckOwner(id.owner) == nil {
		trial.Owner, trial.Service = id.owner, cfg.Service(id.owner)
	}
	trial.Refusals = refusedBy(Roles(), func(role Role) error { return id.verdict(cfg.Admit, role) })
	return trial
}

// refusedBy returns the verdicts that are no nil.
func refusedBy(roles []Role, verdict func(Role) error) map[Role]Refusal {
	refusals := make(map[Role]Refusal)
	for _, role := range roles {
		var end *endError
		if errors.As(verdict(role), &end) {
			refusals[role] = Refusal{end.reason, end.err}
		}
	}
	return refusals
}
