// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
)

// ellipticFirst puts each pair with an elliptic key before those with an RSA key that it can stand in for, which are
// those whose names it has. crypto/tls takes the first pair that suits the client; to sign with RSA takes many times
// as long, and is left for clients that know nothing else. The order of the others stays, and with it the names of the
// default.
func ellipticFirst(pairs []tls.Certificate) []tls.Certificate {
	var sorted []tls.Certificate
	for _, pair := range pairs {
		at := slices.IndexFunc(sorted, func(other tls.Certificate) bool {
			return isRSA(other.Leaf) && !isRSA(pair.Leaf) && hasNames(pair.Leaf, other.Leaf)
		})
		if at < 0 {
			at = len(sorted)
		}
		sorted = slices.Insert(sorted, at, pair)
	}
	return sorted
}

func isRSA(cert *x509.Certificate) bool { return cert.PublicKeyAlgorithm == x509.RSA }

// hasNames tells whether cert is for all names that other is for.
func hasNames(cert, other *x509.Certificate) bool {
	for _, name := range other.DNSNames {
		if !slices.Contains(cert.DNSNames, name) {
			return false
		}
	}
	for _, ip := range other.IPAddresses {
		if !slices.ContainsFunc(cert.IPAddresses, func(own net.IP) bool { return own.Equal(ip) }) {
			return false
		}
	}
	return true
}
