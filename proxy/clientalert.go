// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// Types of TLS records, RFC 8446 §5.1.
const (
	changeCipherSpec = 20
	alertRecord      = 21
	applicationData  = 23 // all records that are encrypted in TLS 1.3
)

// A clearAlert notes an alert of TLS 1.3 that a client sends unencrypted; 0 = it has sent none. OpenSSL does so when it refuses
// the server certificate, as it encrypts nothing before its own Finished. To crypto/tls that is a record that it cannot decrypt.
type clearAlert tls.AlertError

// note looks for one in what a read of a handshake has returned, which begins with a record.
func (a *clearAlert) note(read []byte) {
	const header = 5
	for len(read) >= header+2 {
		size := header + int(read[3])<<8 + int(read[4])
		switch {
		case read[0] == alertRecord && size == header+2:
			*a = clearAlert(read[header+1])
			return
		case read[0] != changeCipherSpec || size > len(read):
			return
		}
		read = read[size:] // for middleboxes, RFC 8446 §D.4
	}
}

// badRecord is what crypto/tls says of a record that it cannot decrypt.
const badRecord = "local error: tls: bad record MAC"

// explain returns the error of a handshake as an operator has to read it: with the alert that it is about, and with what the
// client means by that.
func (a clearAlert) explain(err error) error {
	if a != 0 && err.Error() == badRecord {
		err = fmt.Errorf("remote error: %w", tls.AlertError(a))
	}
	if slices.ContainsFunc(certificateAlerts, func(alert tls.AlertError) bool { return err.Error() == "remote error: "+alert.Error() }) {
		err = fmt.Errorf("the client refuses the server certificate: %w", err)
	}
	return err
}

// certificateAlerts are the alerts about a certificate (RFC 8446 §6.2): bad, unsupported, revoked, expired, unknown, and with
// an unknown CA. A client can only mean the server's.
var certificateAlerts = []tls.AlertError{42, 43, 44, 45, 46, 48}
