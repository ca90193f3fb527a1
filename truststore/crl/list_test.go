// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package crl

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/vernegate/vernegate/truststore/certtest"
)

func TestWhichOfTwoListsIsNewer(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	now := time.Now()
	list := func(number int64, ago time.Duration) *List {
		return parse(t, root.CRL(certtest.CRLOptions{Number: number, ThisUpdate: now.Add(-ago)}))
	}
	const without = -1
	for name, row := range map[string]struct {
		one, other *List
		want       int // 1: one is newer, -1: the other one, 0: neither
	}{
		"higher number, later":               {list(6, 0), list(5, time.Hour), 1},
		"higher number, of the same time":    {list(6, 0), list(5, 0), 1},
		"higher number, from a clock behind": {list(6, ClockSkew), list(5, 0), 1},
		"higher number, earlier":             {list(6, ClockSkew+time.Second), list(5, 0), -1},
		"higher number, much earlier":        {list(1<<40, time.Hour), list(5, 0), -1},
		"same number, later":                 {list(5, 0), list(5, time.Second), 1},
		"same number and time":               {list(5, 0), list(5, 0), 0},
		"no numbers, later":                  {list(without, 0), list(without, time.Second), 1},
		"no number any more, later":          {list(without, 0), list(5, time.Second), 1},
		"from the other end of what can be encoded": {
			parse(t, root.CRL(certtest.CRLOptions{Number: 1, ThisUpdate: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)})),
			parse(t, root.CRL(certtest.CRLOptions{Number: 2, ThisUpdate: time.Date(1950, 1, 1, 0, 0, 0, 0, time.UTC)})), 1,
		},
	} {
		got := 0
		if row.one.NewerThan(row.other) {
			got++
		}
		if row.other.NewerThan(row.one) {
			got--
		}
		if got != row.want || row.want != 0 && row.one.NewerThan(row.other) == row.other.NewerThan(row.one) {
			t.Errorf("%s: got %d, want %d", name, got, row.want)
		}
	}
}

func TestNumbersOfListsHaveABound(t *testing.T) {
	t.Parallel()
	root := certtest.NewCA("root")
	number := func(id asn1.ObjectIdentifier, octets int) pkix.Extension {
		return pkix.Extension{Id: id, Critical: id.Equal(oidDeltaCRL), Value: must(asn1.Marshal(new(big.Int).Lsh(big.NewInt(0x7d), uint(8*(octets-1)))))}
	}
	for name, row := range map[string]struct {
		extensions []pkix.Extension
		want       string
	}{
		"64 octets":                  {[]pkix.Extension{number(oidCRLNumber, 64), number(oidDeltaCRL, 64)}, ""},
		"65 octets":                  {[]pkix.Extension{number(oidCRLNumber, 65)}, "its number has 65 octets, more than 64"},
		"a megabyte":                 {[]pkix.Extension{number(oidCRLNumber, 1_000_000)}, "its number has 1000000 octets, more than 64"},
		"the base of a delta is one": {[]pkix.Extension{number(oidCRLNumber, 1), number(oidDeltaCRL, 65)}, "has 65 octets, more than 64"},
	} {
		_, err := Parse(bytes.NewReader(root.CRL(certtest.CRLOptions{Number: -1, Extensions: row.extensions})), nil)
		switch {
		case row.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case row.want != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: got %v, want an error that says %q", name, err, row.want)
		}
	}
}
