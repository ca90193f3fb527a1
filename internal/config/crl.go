// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/docker/go-units"
)

// A crlList is one or more paths and URLs of revocation lists, in any order.
type crlList []string

// UnmarshalText parses paths and URLs separated by commas. A comma in a URL is written
// as %2C. Its errors do not quote the text, which may hold a password.
func (l *crlList) UnmarshalText(text []byte) error {
	elements, err := splitList(string(text))
	if err != nil {
		return fmt.Errorf("%w: expected files and URLs separated by commas", err)
	}
	for _, element := range elements {
		if isURL(element) && !isHTTP(element) {
			return errors.New("expected files, and http or https URLs with a host, separated by commas")
		}
	}
	*l = elements
	return nil
}

func isURL(element string) bool { return strings.Contains(element, "://") }

func isHTTP(element string) bool {
	u, err := url.Parse(element)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.Fragment == ""
}

// Files returns the paths.
func (l crlList) Files() []string { return l.only(false) }

// URLs returns the URLs.
func (l crlList) URLs() []string { return l.only(true) }

func (l crlList) only(urls bool) (list []string) {
	for _, element := range l {
		if isURL(element) == urls {
			list = append(list, element)
		}
	}
	return list
}

// Names returns the paths, and the URLs without passwords.
func (l crlList) Names() (names []string) {
	for _, element := range l {
		names = append(names, Redact(element))
	}
	return names
}

// A CDPUse says whose certificates may name a distribution point that lists are fetched
// from (RFC 5280 §4.2.1.13).
type CDPUse string

const (
	CDPOff  CDPUse = "off"
	CDPCA   CDPUse = "ca"   // those of the CAs in the bundle
	CDPLeaf CDPUse = "leaf" // and those that these CAs issued, once one comes by
)

// UnmarshalText parses "off", "ca" or "leaf".
func (u *CDPUse) UnmarshalText(text []byte) error {
	*u = CDPUse(text)
	switch *u {
	case CDPOff, CDPCA, CDPLeaf:
		return nil
	}
	return errors.New("expected off, ca or leaf")
}

// minRefresh is how often a CA's server is asked at most.
const minRefresh = time.Second

// A refreshInterval is a duration of a second or more.
type refreshInterval time.Duration

// UnmarshalText parses a duration as Go writes it.
func (i *refreshInterval) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil || d < minRefresh {
		return fmt.Errorf("expected a duration of %v or more such as 30s, 5m or 1h", minRefresh)
	}
	*i = refreshInterval(d)
	return nil
}

// The range of VERNEGATE_CRL_MAX_SIZE: what the trust store reads of a file at most.
const (
	minListSize byteSize = 1 << 10
	maxListSize byteSize = 512 << 20
)

// A listSize is a number of bytes, 1KiB to 512MiB.
type listSize byteSize

// UnmarshalText parses a size as byteSize does.
func (s *listSize) UnmarshalText(text []byte) error {
	n, err := units.RAMInBytes(string(text))
	if err != nil || n < int64(minListSize) || n > int64(maxListSize) {
		return fmt.Errorf("expected a size from %v to %v in bytes, KiB or MiB", minListSize, maxListSize)
	}
	*s = listSize(n)
	return nil
}

// FetchesLists reports whether lists are fetched over the network.
func (c Config) FetchesLists() bool { return len(c.TLSCRL.URLs()) > 0 || c.CRLFromCDP != CDPOff }

// validateLists reports what keeps lists from being fetched.
func (c Config) validateLists(m *mistakes) {
	if (c.CRLFromCDP == CDPCA || c.CRLFromCDP == CDPLeaf) && c.CRLHosts.Len() == 0 {
		m.add("VERNEGATE_CRL_FROM_CDP", "needs VERNEGATE_CRL_HOSTS, the hosts that certificates may send us to")
	}
}
