// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ownerevents

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vernegate/vernegate/internal/pki"
)

// A Type says what has happened to a certificate.
type Type string

// The types of events, as metric labels have them.
const (
	Create Type = "create" // it has an owner now
	Update Type = "update" // it has another owner now
	Delete Type = "delete" // it has none any more
	Other  Type = "other"  // no event of an ownership, or none that can be read
)

// An Event is a change of who owns a certificate.
type Event struct {
	Type        Type // not Other
	Fingerprint pki.Fingerprint
	// Owner is who has it now, "tenant:device" or the name of an application; "" with Delete, and if the event does not
	// tell, which Unclear explains then.
	Owner   string
	Unclear error
	// At is when it happened, by the clock of who has published it; zero if the event does not say.
	At time.Time
}

const (
	// maxEvent bounds an event, in bytes. Real ones hold a certificate as PEM, of one or two thousand.
	maxEvent = 64 << 10
	// maxDepth bounds how deep objects and arrays of an event are nested; real ones are four deep.
	maxDepth = 32
	// maxMilliseconds is the end of the year 9999.
	maxMilliseconds = 253_402_300_799_999
)

// Why an event is skipped. None of them repeats a byte of it.
var (
	errTooLarge    = errors.New("larger than 64 KiB")
	errForeign     = errors.New("no event of an ownership")
	errNotJSON     = errors.New("no JSON object of the expected form")
	errDepth       = errors.New("nested deeper than 32")
	errFingerprint = errors.New("its fingerprint is none of SHA-256")
)

// Why an event does not tell the owner.
var (
	errNobody      = errors.New("it names neither a device nor an application")
	errBoth        = errors.New("it names a device and an application")
	errTenantless  = errors.New("it names a device, but no tenant")
	errTenant      = errors.New("it names an application, but also a tenant")
	errTenantColon = errors.New("its tenant has a colon")
	errLossy       = errors.New("its names hold invalid UTF-8, a lone surrogate or U+FFFD, or are longer than 512 bytes")
)

// document is an event as x509-identity-mgmt publishes it, but for what does not matter here.
type document struct {
	Metadata struct {
		Tenant    string   `json:"tenant"`
		Timestamp *float64 `json:"timestamp"` // milliseconds since 1970
	} `json:"metadata"`
	Data struct {
		EventType string `json:"eventType"`
		EventData *struct {
			Fingerprint string `json:"fingerprint"`
			BelongsTo   struct {
				Device      string `json:"device"`
				Application string `json:"application"`
			} `json:"belongsTo"`
		} `json:"eventData"`
	} `json:"data"`
}

var types = map[string]Type{"ownership.create": Create, "ownership.update": Update, "ownership.delete": Delete}

// Decode reads an event. valid judges an owner that it names; the error makes the event Unclear. An event that is
// returned without an error has a type and a fingerprint.
func Decode(value []byte, valid func(owner string) error) (Event, error) {
	if len(value) > maxEvent {
		return Event{}, errTooLarge
	}
	var room [1 << 10]byte
	short, tooDeep := shorten(room[:0], value)
	if tooDeep {
		return Event{}, errDepth
	}
	var d document
	if json.Unmarshal(short, &d) != nil {
		return Event{}, errNotJSON
	}
	e := Event{Type: types[d.Data.EventType], At: timeOf(d.Metadata.Timestamp)}
	if e.Type == "" || d.Data.EventData == nil {
		return Event{}, errForeign
	}
	var err error
	if e.Fingerprint, err = parseFingerprint(d.Data.EventData.Fingerprint); err != nil {
		return Event{}, err
	}
	if e.Type != Delete {
		to := d.Data.EventData.BelongsTo
		e.Owner, e.Unclear = ownerOf(d.Metadata.Tenant, to.Device, to.Application)
		if e.Unclear == nil {
			e.Unclear = valid(e.Owner)
		}
		if e.Unclear != nil {
			e.Owner = ""
		}
	}
	return e, nil
}

// ownerOf returns the owner as certificate-acl spells it. Where it would make something else of the names than they say,
// it is for certificate-acl to tell.
func ownerOf(tenant, device, application string) (string, error) {
	switch {
	case strings.ContainsRune(tenant+device+application, utf8.RuneError):
		return "", errLossy
	case device == "" && application == "":
		return "", errNobody
	case device != "" && application != "":
		return "", errBoth
	case application != "" && tenant != "":
		return "", errTenant
	case application != "":
		return application, nil
	case tenant == "":
		return "", errTenantless
	case strings.Contains(tenant, ":"):
		return "", errTenantColon
	}
	return tenant + ":" + device, nil
}

// parseFingerprint reads pairs of hexadecimal digits with colons in between.
func parseFingerprint(text string) (fp pki.Fingerprint, err error) {
	if len(text) != 3*len(fp)-1 {
		return fp, errFingerprint
	}
	for i := range fp {
		if i > 0 && text[3*i-1] != ':' {
			return pki.Fingerprint{}, errFingerprint
		}
		if _, err := hex.Decode(fp[i:i+1], []byte(text[3*i:3*i+2])); err != nil {
			return pki.Fingerprint{}, errFingerprint
		}
	}
	if fp == (pki.Fingerprint{}) { // no certificate has it, and others may take it for any
		return fp, errFingerprint
	}
	return fp, nil
}

// timeOf returns the time of a timestamp, zero if it is none.
func timeOf(milliseconds *float64) time.Time {
	if milliseconds == nil || !(*milliseconds > 0 && *milliseconds <= maxMilliseconds) {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Floor(*milliseconds)))
}

// String describes the event for a log.
func (e Event) String() string { return fmt.Sprintf("%s %v", e.Type, e.Fingerprint) }
