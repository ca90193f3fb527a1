// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"crypto/x509"
	"math/big"
	"runtime"
	"slices"
	"testing"

	"github.com/vernegate/vernegate/truststore/certtest"
)

// A stranger may put thousands of attributes into the names of its certificate, and as many digits into its serial number.
func TestCertificatesOfStrangersCostLittleToShow(t *testing.T) { // not in parallel: it looks at what the process allocates
	long := certtest.Template(func(c *x509.Certificate) { c.Subject.OrganizationalUnit = slices.Repeat([]string{"a"}, 8000) })
	leaf := certtest.NewCA("stranger", long).Issue("device", long).Leaf
	leaf.SerialNumber = new(big.Int).Lsh(big.NewInt(1), 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	shown := summarize(leaf)
	shown.issuer = issuerOf(leaf)
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(32<<20); got > most { // by hundreds of megabytes if all is written
		t.Errorf("%d bytes were allocated, want at most %d", got, most)
	}
	for what, text := range map[string]string{"subject": shown.subject, "issuer": shown.issuer, "serial": shown.serial} {
		if len(text) == 0 || len(text) > 1000 {
			t.Errorf("got a %s of %d bytes", what, len(text))
		}
	}
}
