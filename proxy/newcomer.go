// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import "crypto/x509"

// A newcomer is what a session needs until it is a live one. A live session lets go of it, and so of a Trust and all its
// CRLs.
type newcomer struct {
	slot    handshakeSlot
	chain   []*x509.Certificate // the client's that trust has accepted; nil before
	trust   Trust
	changes uint64 // of owners, when this one was asked for; see ownerChanges
}
