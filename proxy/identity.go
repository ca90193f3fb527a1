// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/pki"
)

// An OwnerFunc tells who owns a client certificate. ok is false when the certificate is known to have no
// owner; an error says that this could not be found out, so that a service that is down never reads as a
// refusal. It is called from many goroutines and has to return soon after ctx is done.
type OwnerFunc func(ctx context.Context, fp pki.Fingerprint) (owner string, ok bool, err error)

// An identity is the answer about one client.
type identity struct {
	owner string
	ok    bool
	err   error
}

// identify is step 4. It asks who owns the client certificate while the caller goes on; the channel has room
// for the answer, so that nobody has to wait for it.
func (s *session) identify(ctx context.Context, leaf *x509.Certificate) <-chan identity {
	answer := make(chan identity, 1)
	fp := pki.FingerprintOf(leaf)
	go func() {
		owner, ok, err := s.server.cfg.Owner(ctx, fp)
		answer <- identity{owner, ok, err}
	}()
	return answer
}

// verdict is nil when the client may come in by a listener with this role; else it is an *endError.
func (id identity) verdict(role Role) error {
	if id.err != nil {
		return because(IdentityUnavailable, id.err)
	}
	if !id.ok {
		return because(IdentityUnknown, nil)
	}
	if err := checkOwner(id.owner); err != nil {
		return because(IdentityInvalid, err)
	}
	if role == Services && isDevice(id.owner) {
		return because(IdentityNotAllowed, nil)
	}
	return nil
}

// isDevice tells a device's owner string, "tenant:device", from the name of a service, which has no colon.
func isDevice(owner string) bool { return strings.Contains(owner, ":") }

// checkOwner refuses what must not become a username, whoever says it. A username of "+" would match every
// topic through a broker's "%u" ACL patterns, "/" would add topic levels to them; the rest cannot be an MQTT
// UTF-8 string [MQTT-1.5.3-1] [MQTT-1.5.3-2] or only serves to mislead whoever reads a log.
func checkOwner(owner string) error {
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
