// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"fmt"
	"strings"

	"github.com/vernegate/vernegate/packets"
)

// A ClientIDPolicy says which client ids an owner may use. A broker ends the session of a client id when another
// client connects with it, so that a device which may choose any can put others off the line, or take the
// messages that are queued for them.
type ClientIDPolicy uint8

// The policies.
const (
	AnyClientID         ClientIDPolicy = iota // whatever the client says
	OwnerClientID                             // the owner
	OwnerPrefixClientID                       // the owner, alone or followed by one of ":/-_." and anything
)

// clientIDSeparators may follow the owner. Without one, "acme:lamp1" could use what belongs to "acme:lamp10".
const clientIDSeparators = ":/-_."

// check refuses a client id that owner must not use. An empty one, in whose place the broker chooses one that
// does not follow the policy, is among them.
func (p ClientIDPolicy) check(clientID, owner string) error {
	rest, found := strings.CutPrefix(clientID, owner)
	switch {
	case p == AnyClientID, found && rest == "":
		return nil
	case p == OwnerPrefixClientID && found && strings.IndexByte(clientIDSeparators, rest[0]) >= 0:
		return nil
	}
	return fmt.Errorf("client id %q, expected %s", clientID, p.Allowed(owner))
}

// Allowed says which client ids an owner may use, for people.
func (p ClientIDPolicy) Allowed(owner string) string {
	switch p {
	case OwnerClientID:
		return fmt.Sprintf("%q", owner)
	case OwnerPrefixClientID:
		return fmt.Sprintf("%q, alone or with one of %s behind it", owner, clientIDSeparators)
	}
	return "any"
}

// forBroker is what a broker gets first: the CONNECT as the owner's, behind a PROXY header where brokers want one.
func (s *session) forBroker(connect *packets.Connect) (hello greeting, err error) {
	hello.connect, err = connect.Rewrite(packets.Edit{Username: &s.owner, DropPassword: s.server.cfg.StripPassword})
	if err != nil {
		return hello, because(IdentityInvalid, err)
	}
	version := s.server.cfg.BackendProxyProtocol
	if version == 0 {
		return hello, nil
	}
	if hello.header, err = s.client.appendProxyHeader(nil, version); err != nil {
		return hello, because(BackendUnavailable, err)
	}
	return hello, nil
}
