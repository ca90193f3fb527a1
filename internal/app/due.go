// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package app

import (
	"crypto/x509"
	"time"

	"github.com/vernegate/vernegate/internal/admin"
	"github.com/vernegate/vernegate/internal/due"
	"github.com/vernegate/vernegate/truststore"
)

// certificateDue returns when a certificate of that kind, of package admin, is due.
func certificateDue(kind string, cert *x509.Certificate) due.Times {
	if kind == admin.KindCA {
		return due.CA(cert.NotBefore, cert.NotAfter)
	}
	return due.ServerCertificate(cert.NotBefore, cert.NotAfter)
}

// crlDue returns when a CRL is due.
func crlDue(list truststore.CRL) due.Times { return due.CRL(list.NextUpdate, list.GoodUntil) }

// severityOf returns how urgent something is that is due then.
func severityOf(t due.Times, now time.Time) admin.Severity {
	switch {
	case t.CriticalAt(now):
		return admin.Critical
	case t.WarningAt(now):
		return admin.Warning
	}
	return admin.OK
}
