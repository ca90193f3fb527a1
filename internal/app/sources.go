// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/vernegate/vernegate/internal/config"
	"github.com/vernegate/vernegate/internal/identity/ownerfile"
	"github.com/vernegate/vernegate/internal/identity/subject"
	"github.com/vernegate/vernegate/proxy"
)

// A source is one of those that are asked for an owner.
type source struct {
	name config.Source
	find proxy.OwnerFunc
	none error // why there is no owner, where find does not say; matches proxy.ErrNoOwner
}

// What source.none is. Strangers can have it logged as often as they like, so it is made once.
var (
	errNotInACL       = fmt.Errorf("%w by certificate-acl: it answers 404", proxy.ErrNoOwner)
	errNotInACLOrTold = fmt.Errorf("%w, or an event from Kafka has taken its owner", errNotInACL)
	errNotInFile      = fmt.Errorf("%w by file: it has no line for the certificate", proxy.ErrNoOwner)
)

// sources are asked one after the other, and the first that names an owner counts.
//
// One that cannot tell ends the question: had it told, the certificate might belong to
// somebody else, or to nobody, than those behind it say.
type sources []source

// An answer is what the sources say of a certificate.
type answer struct {
	owner  string
	source config.Source // "" = there is no owner
}

// Results of asking one source.
const (
	resultOwner  = "owner"
	resultNone   = "none"
	resultFailed = "failed"
)

// ask returns the first answer. An error matches proxy.ErrNoOwner, and says what each source
// has against the certificate, or proxy.ErrAskAgain beside the answer, or means that there is none. Each result is told to
// observe.
func (all sources) ask(ctx context.Context, peer proxy.Peer, observe func(s config.Source, result string)) (answer, error) {
	var why error  // matches proxy.ErrNoOwner
	var soon error // matches proxy.ErrAskAgain
	for _, s := range all {
		owner, ok, err := s.find(ctx, peer)
		if errors.Is(err, proxy.ErrAskAgain) {
			soon, err = err, nil
		}
		switch {
		case errors.Is(err, proxy.ErrNoOwner), err == nil && !ok:
			why = both(why, cmp.Or(err, s.none))
			observe(s.name, resultNone)
		case err != nil:
			observe(s.name, resultFailed)
			return answer{}, err
		default:
			observe(s.name, resultOwner)
			return answer{owner, s.name}, soon
		}
	}
	return answer{}, why
}

// both says two reasons in one line. The first may be nil.
func both(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}

// ownerFunc lets the proxy ask sources.
func (all sources) ownerFunc(observe func(s config.Source, result string)) proxy.OwnerFunc {
	return func(ctx context.Context, peer proxy.Peer) (owner string, ok bool, err error) {
		found, err := all.ask(ctx, peer, observe)
		return found.owner, found.source != "", err
	}
}

// newSources returns the sources of the configuration in their order. acl asks
// certificate-acl, or what remembers its answers; file is nil if it is no source.
func newSources(cfg config.Config, acl proxy.OwnerFunc, file *ownerfile.Store) (sources, error) {
	var all sources
	for _, name := range cfg.Identity {
		s := source{name: name}
		switch name {
		case config.CertificateACL:
			s.find, s.none = acl, errNotInACL
			if len(cfg.KafkaBrokers) > 0 {
				s.none = errNotInACLOrTold
			}
		case config.Subject:
			rule, err := subject.NewRule(cfg.IdentityTemplate, cfg.IdentityPattern)
			if err != nil {
				return nil, err // which config has told already
			}
			s.find = subjectFunc(rule) // which always says why
		case config.File:
			s.find, s.none = fileFunc(file), errNotInFile
		}
		all = append(all, s)
	}
	return all, nil
}

// subjectFunc reads owners from certificates.
func subjectFunc(rule *subject.Rule) proxy.OwnerFunc {
	return func(_ context.Context, peer proxy.Peer) (owner string, ok bool, err error) {
		owner, err = rule.Owner(peer.Chain[0])
		if err != nil {
			return "", false, fmt.Errorf("%w by subject: %w", proxy.ErrNoOwner, err)
		}
		return owner, true, nil
	}
}
