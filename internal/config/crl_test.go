// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestListsAreFilesAndURLs(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "VERNEGATE_TLS_CRL=/certs/a.crl, https://user:secret@ca.example.org/b.crl?x=1%2C2 ,b.crl")
	if got := c.TLSCRL.Files(); !slices.Equal(got, []string{"/certs/a.crl", "b.crl"}) {
		t.Errorf("files %q", got)
	}
	if got := c.TLSCRL.URLs(); !slices.Equal(got, []string{"https://user:secret@ca.example.org/b.crl?x=1%2C2"}) {
		t.Errorf("URLs %q", got)
	}
	if got := strings.Join(c.TLSCRL.Names(), " "); strings.Contains(got, "secret") || !strings.Contains(got, "ca.example.org/b.crl") {
		t.Errorf("names %q", got)
	}
	if !c.CRLNamed || !c.FetchesLists() {
		t.Error("nothing is fetched")
	}
}

func TestNothingIsFetchedUnlessAskedFor(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "VERNEGATE_CRL_HOSTS=crl.example.org")
	if c.FetchesLists() || c.CRLFromCDP != CDPOff || time.Duration(c.CRLRefresh) != 5*time.Minute || c.CRLMaxSize != 256<<20 {
		t.Errorf("got %v, %v, %v, %v", c.FetchesLists(), c.CRLFromCDP, c.CRLRefresh, c.CRLMaxSize)
	}
}

func TestMistakesAboutListsAreNamed(t *testing.T) {
	t.Parallel()
	wantMistake(t, "VERNEGATE_TLS_CRL=ldap://ca.example.org/cn=x", "expected files, and http or https URLs with a host, separated by commas")
	wantMistake(t, "VERNEGATE_TLS_CRL=http:///ca.crl", "expected files, and http or https URLs with a host, separated by commas")
	wantMistake(t, "VERNEGATE_CRL_REFRESH=0s", "expected a duration of 1s or more such as 30s, 5m or 1h")
	wantMistake(t, "VERNEGATE_CRL_MAX_SIZE=1TiB", "expected a size from 1KiB to 512MiB in bytes, KiB or MiB")
	wantMistake(t, "VERNEGATE_CRL_FROM_CDP=all", "expected off, ca or leaf")
	wantMistake(t, "VERNEGATE_CRL_FROM_CDP=leaf", "needs VERNEGATE_CRL_HOSTS, the hosts that certificates may send us to")
}
