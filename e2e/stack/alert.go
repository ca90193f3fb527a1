// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"errors"
	"net"
	"reflect"
	"strconv"
)

// Alert is a TLS alert that the other side sent (RFC 8446 §6.2); 0 is none.
type Alert uint8

// The alerts that refusals end in.
const (
	AlertHandshakeFailure      Alert = 40
	AlertBadCertificate        Alert = 42
	AlertCertificateExpired    Alert = 45
	AlertUnknownCA             Alert = 48
	AlertProtocolVersion       Alert = 70
	AlertCertificateRequired   Alert = 116
	AlertNoApplicationProtocol Alert = 120
)

// alertNames are the names that the RFC gives them.
var alertNames = map[Alert]string{
	AlertHandshakeFailure:      "handshake_failure",
	AlertBadCertificate:        "bad_certificate",
	AlertCertificateExpired:    "certificate_expired",
	AlertUnknownCA:             "unknown_ca",
	AlertProtocolVersion:       "protocol_version",
	AlertCertificateRequired:   "certificate_required",
	AlertNoApplicationProtocol: "no_application_protocol",
}

// String is the alert's name in the RFC, or its number.
func (a Alert) String() string {
	if name, ok := alertNames[a]; ok {
		return name
	}
	return strconv.Itoa(int(a))
}

// AlertOf is the alert in an error of crypto/tls, which keeps the type of its
// alerts to itself: the number is read through reflection.
func AlertOf(err error) Alert {
	var remote *net.OpError
	if !errors.As(err, &remote) || remote.Op != "remote error" {
		return 0
	}
	if v := reflect.ValueOf(remote.Err); v.Kind() == reflect.Uint8 {
		return Alert(v.Uint())
	}
	return 0
}
