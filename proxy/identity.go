// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/pki"
)

// A Peer is a client by its verified certificate.
type Peer struct {
	// Chain is what Trust.Verify has accepted, the client's certificate first. It must not be changed.
	Chain []*x509.Certificate
	// Fingerprint is that of the client's certificate.
	Fingerprint pki.Fingerprint
	// Live says that the question is about the client's live sessions, and was answered when they began. An error serves them
	// better than an owner that was right some time ago: it ends none of them.
	Live bool
}

// ErrNoOwner is matched by the errors of an OwnerFunc that say why a certificate has no owner.
var ErrNoOwner = errors.New("no owner")

// ErrAskAgain is matched by the errors of an OwnerFunc that come with an answer: it counts, but may not be so any more, and the
// owner of a session that lives by it is asked for again within a minute.
var ErrAskAgain = errors.New("the owner is to be asked for again soon")

// An OwnerFunc finds the owner of a client's certificate. ok is false when the certificate is known to have no
// owner; an error says that this could not be found out, so that a service that is down never reads as a
// refusal. Errors that match ErrNoOwner and ErrAskAgain are the exceptions: with ErrNoOwner, the certificate is known to have no
// owner, and the error is what the log says about it. It is called from many goroutines and has to return soon after ctx is done.
type OwnerFunc func(ctx context.Context, peer Peer) (owner string, ok bool, err error)

// An AuthorizeFunc has the last word on a client that the Trust has accepted: it may ask an OCSP responder, say. nil lets
// the client in; an error that matches pki.ErrRevoked refuses it (TLSRevoked), or ends its live sessions (CertRevoked); any
// other error says that this could not be found out, which keeps newcomers out and ends no session. The reason is
// CertStatusUnknown for errors that match pki.ErrRevocationUnknown, else IdentityUnavailable.
//
// again is when it is to be asked again about the client's live sessions; zero = after Config.Recheck. It is called like
// an OwnerFunc, but must not wait for anything when the peer is Live: what is not known yet is asked for again soon.
type AuthorizeFunc func(ctx context.Context, peer Peer) (again time.Time, err error)

// An AdmitFunc reports whether an owner may use the listeners with a role.
type AdmitFunc func(role Role, owner string) bool

// admitServices keeps devices off the listeners for services.
func admitServices(service func(owner string) bool) AdmitFunc {
	return func(role Role, owner string) bool { return role != Services || service(owner) }
}

// An identity is what was found out about one client.
type identity struct {
	owner string
	ok    bool
	why   error // there is no owner; nil = there is one, or ok says it all
	err   error // of the look-up
	soon  bool  // the owner is to be asked for again

	denied error     // by Authorize
	again  time.Time // when to ask Authorize again; zero = after Recheck
}

// identify is step 4. It finds out who the client is while the caller goes on; the channel has room for the answer, so
// that no client has to wait for it.
func (s *session) identify(ctx context.Context) <-chan identity {
	answer := make(chan identity, 1)
	peer := Peer{Chain: s.newcomer.chain, Fingerprint: pki.FingerprintOf(s.newcomer.chain[0])}
	s.newcomer.changes = s.server.changes.count(peer.Fingerprint)
	go func() { answer <- s.server.cfg.ask(ctx, peer) }()
	return answer
}

// ask asks for the owner and for authorization at the same time.
func (c *Config) ask(ctx context.Context, peer Peer) (id identity) {
	if c.Authorize == nil {
		id.askOwner(ctx, c.Owner, peer)
		return id
	}
	var authorizing sync.WaitGroup
	authorizing.Go(func() { id.again, id.denied = c.Authorize(ctx, peer) })
	id.askOwner(ctx, c.Owner, peer)
	authorizing.Wait()
	return id
}

func (id *identity) askOwner(ctx context.Context, owner OwnerFunc, peer Peer) {
	id.owner, id.ok, id.err = owner(ctx, peer)
	switch {
	case errors.Is(id.err, ErrNoOwner):
		id.ok, id.why, id.err = false, id.err, nil
	case errors.Is(id.err, ErrAskAgain):
		id.soon, id.err = true, nil
	}
}

// verdict is nil when the client may come in by a listener with this role; else it is an *endError.
func (id identity) verdict(admit AdmitFunc, role Role) error {
	switch {
	case errors.Is(id.denied, pki.ErrRevoked):
		return because(TLSRevoked, id.denied)
	case errors.Is(id.denied, pki.ErrRevocationUnknown):
		return because(CertStatusUnknown, id.denied)
	case id.err != nil || id.denied != nil:
		return because(IdentityUnavailable, errors.Join(id.err, id.denied))
	case !id.ok:
		return because(IdentityUnknown, id.why)
	}
	if err := CheckOwner(id.owner); err != nil {
		return because(IdentityInvalid, err)
	}
	if !admit(role, id.owner) {
		return because(IdentityNotAllowed, nil)
	}
	return nil
}

// keeps reports whether a live session may go on after its owner was looked up again. That the owner could not be found
// out ends nothing.
func (id identity) keeps(s *session) bool {
	return id.err != nil || id.owner == s.owner && id.verdict(s.server.cfg.Admit, s.role) == nil
}

// hasNoColon is how dojot tells services from devices, whose owner is "tenant:device".
func hasNoColon(owner string) bool { return !strings.Contains(owner, ":") }

// CheckOwner says why an owner must not become a username, whatever its source; nil = it may. A username of "+" would match every
// topic through a broker's "%u" ACL patterns, "/" would add topic levels to them; the rest cannot be an MQTT
// UTF-8 string [MQTT-1.5.3-1] [MQTT-1.5.3-2] or only serves to mislead the readers of a log.
func CheckOwner(owner string) error {
	const maxLen = 65535 // MQTT 3.1.1 §1.5.3: two bytes of length
	switch {
	case owner == "":
		return errors.New("the owner is empty")
	case len(owner) > maxLen:
		return fmt.Errorf("the owner has %d bytes, more than %d", len(owner), maxLen)
	case !utf8.ValidString(owner):
		return errors.New("the owner is not valid UTF-8")
	}
	for _, r := range owner {
		if strings.ContainsRune("+#/", r) || unicode.IsControl(r) {
			return fmt.Errorf("the owner contains %q", r)
		}
	}
	return nil
}
