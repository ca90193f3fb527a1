// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "github.com/vernegate/vernegate/packets"

// forBroker is what a broker gets first: the CONNECT as the owner's, behind a PROXY header where brokers want
// one. The two go out in one write, and so in one segment up to the header's end, as VerneMQ wants it.
func (s *session) forBroker(connect *packets.Connect) ([]byte, error) {
	packet, err := connect.Rewrite(packets.Edit{Username: &s.owner, DropPassword: s.server.cfg.StripPassword})
	if err != nil {
		return nil, because(IdentityInvalid, err)
	}
	version := s.server.cfg.BackendProxyProtocol
	if version == 0 {
		return packet, nil
	}
	header, err := s.client.appendProxyHeader(nil, version)
	if err != nil {
		return nil, because(BackendUnavailable, err)
	}
	return append(header, packet...), nil
}
