// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"net/http"
	"time"
)

// A State is whether devices are taken.
type State string

// The states.
const (
	Starting State = "starting" // there are no good trust files yet
	Ready    State = "ready"
	Draining State = "draining" // no new ones, and those that are there are being ended
	NotReady State = "unready"  // what devices need has been missing for a while
)

// Status is the document of GET /status, and what the page shows beside
// sessions and refusals. Parts that are nil are not there (yet).
type Status struct {
	State         State     `json:"state"`
	Detail        string    `json:"detail,omitempty"` // why it is not ready
	Host          string    `json:"host"`             // whose vernegate this is
	Version       string    `json:"version"`
	Commit        string    `json:"commit"`
	Go            string    `json:"go"`
	Started       time.Time `json:"started"`
	Now           time.Time `json:"now"`
	UptimeSeconds int64     `json:"uptime_seconds"`

	Sessions       map[string]int  `json:"sessions,omitempty"` // by listener
	Trust          *Trust          `json:"trust,omitempty"`
	LastLook       *Look           `json:"last_look,omitempty"`   // at the trust files
	CRLSources     []CRLSource     `json:"crl_sources,omitempty"` // lists that are fetched over the network
	CertificateACL *CertificateACL `json:"certificate_acl,omitempty"`
	IdentityFile   *IdentityFile   `json:"identity_file,omitempty"` // nil = it is no source of owners
	OCSP           *OCSP           `json:"ocsp,omitempty"`          // nil = off
	Kafka          *Kafka          `json:"kafka,omitempty"`         // nil = no events are followed
	Backends       []Backend       `json:"backends,omitempty"`
	Limits         []Limit         `json:"limits,omitempty"`
	AnyClientID    bool            `json:"any_client_id"` // an owner may use every client id
}

// Trust is the trust generation in use.
type Trust struct {
	Generation   uint64        `json:"generation"`
	Loaded       time.Time     `json:"loaded"`
	Files        []File        `json:"files"`
	Certificates []Certificate `json:"certificates"` // the server's, then the CAs, then vernegate's as a client
	CRLs         []CRL         `json:"crls"`

	Refused []Part   `json:"refused,omitempty"` // whose last good version serves on
	Notices []string `json:"notices,omitempty"` // what is odd, or was passed over
}

// Part is a part of the trust files that is no good now.
type Part struct {
	Part  string    `json:"part"` // as in vernegate_trust_part_refused
	File  string    `json:"file"`
	Name  string    `json:"name,omitempty"` // of a CRL, its issuer
	Error string    `json:"error"`
	Since time.Time `json:"since"`
}

// File is a file of the generation in use.
type File struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"` // in hexadecimal
}

// Look is what came of looking at the trust files.
type Look struct {
	At     time.Time `json:"at"`
	Result string    `json:"result"`           // as in vernegate_trust_looks_total
	Errors []string  `json:"errors,omitempty"` // why the files are refused
}

// A Severity says how urgently an operator has to look at something.
type Severity string

// The severities, as JSON and the page have them.
const (
	OK       Severity = "ok"
	Warning  Severity = "soon" // on the next day
	Critical Severity = "over" // now
)

// The kinds of certificates.
const (
	KindServer = "server" // shown to clients
	KindCA     = "ca"     // that clients are verified against
	KindClient = "client" // shown to brokers and certificate-acl
)

// Certificate is a certificate of the generation in use.
type Certificate struct {
	Kind     string    `json:"kind"`
	Subject  string    `json:"subject"`
	Serial   string    `json:"serial"` // in hexadecimal
	NotAfter time.Time `json:"not_after"`
	DaysLeft int       `json:"days_left"` // whole ones; negative when it is over
	Severity Severity  `json:"term"`
}

// CRL is a certificate revocation list in use.
type CRL struct {
	Issuer     string    `json:"issuer"`
	File       string    `json:"file"`
	Number     string    `json:"number,omitempty"` // decimal
	ThisUpdate time.Time `json:"this_update"`
	NextUpdate time.Time `json:"next_update,omitzero"` // zero = never
	GoodUntil  time.Time `json:"good_until,omitzero"`  // then the devices of its CA are refused
	Entries    int       `json:"entries"`
	Severity   Severity  `json:"term"`

	// Of a list with a delta, whose number and times are then those above:
	DeltaFile  string `json:"delta_file,omitempty"`
	BaseNumber string `json:"base_number,omitempty"` // of the list itself, decimal
}

// CRLSource is a URL that a revocation list is fetched from.
type CRLSource struct {
	URL          string    `json:"url"`    // without a password
	Origin       string    `json:"origin"` // configured, ca, leaf or freshest: who named it
	SizeBytes    int64     `json:"size_bytes"`
	Changed      time.Time `json:"changed,omitzero"`      // when there was a new list
	LastSuccess  time.Time `json:"last_success,omitzero"` // zero = never
	LastAttempt  time.Time `json:"last_attempt,omitzero"`
	Next         time.Time `json:"next,omitzero"`        // when it is asked for again
	NextUpdate   time.Time `json:"next_update,omitzero"` // when the CA is to replace it
	Error        string    `json:"error,omitempty"`      // of the last attempt
	FailingSince time.Time `json:"failing_since,omitzero"`
	NotKept      string    `json:"not_kept,omitempty"` // why what is in use cannot be written to VERNEGATE_STATE_DIR
	Severity     Severity  `json:"term"`
}

// CertificateACL is how asking certificate-acl goes.
type CertificateACL struct {
	URL          string            `json:"url"` // without user and password
	Answers      map[string]uint64 `json:"answers"`
	HitRatio     *float64          `json:"hit_ratio,omitempty"` // of the answers, from memory; nil = there were none
	CacheEntries int               `json:"cache_entries"`
	CacheSize    int               `json:"cache_size"`
	LastSuccess  time.Time         `json:"last_success,omitzero"`
	LastFailure  time.Time         `json:"last_failure,omitzero"`
	LastError    string            `json:"last_error,omitempty"`  // the kind of the last failure
	LastDetail   string            `json:"last_detail,omitempty"` // what certificate-acl did then, such as "answered 503"
}

// Failing reports whether the last request was a failure.
func (c *CertificateACL) Failing() bool { return c.LastFailure.After(c.LastSuccess) }

// OCSP is how asking OCSP responders goes.
type OCSP struct {
	URL          string       `json:"url,omitempty"` // without user and password; "" = those that certificates name
	OnError      string       `json:"on_error"`      // allow or deny
	CacheEntries int          `json:"cache_entries"`
	CacheSize    int          `json:"cache_size"`
	Issuers      []OCSPIssuer `json:"issuers"` // about whose certificates was asked
}

// OCSPIssuer is how asking about the certificates of a CA goes.
type OCSPIssuer struct {
	Issuer      string            `json:"issuer"`
	Responder   string            `json:"responder,omitempty"` // the host that was asked last
	Answers     map[string]uint64 `json:"answers"`             // by status: good, revoked, unknown
	Failures    uint64            `json:"failures"`
	InARow      uint64            `json:"failures_in_a_row"`
	LastSuccess time.Time         `json:"last_success,omitzero"`
	LastFailure time.Time         `json:"last_failure,omitzero"`
	LastError   string            `json:"last_error,omitempty"`  // the kind of the last failure
	LastDetail  string            `json:"last_detail,omitempty"` // what exactly went wrong
}

// Count is how many answers have had a status.
func (i OCSPIssuer) Count(status string) uint64 { return i.Answers[status] }

// failsInARow is how many failures are more than one odd certificate.
const failsInARow = 3

// Failing reports whether no question is answered, as far as can be seen.
func (i OCSPIssuer) Failing() bool { return i.InARow >= failsInARow }

// IdentityFile is the file of owners.
type IdentityFile struct {
	Path   string    `json:"path"`
	Lines  int       `json:"lines"`  // that name an owner, of what is in use
	Loaded time.Time `json:"loaded"` // when what is in use was read

	Refused      bool      `json:"refused"` // the file is no good now, and its last good version stays in use
	Errors       []string  `json:"errors,omitempty"`
	RefusedSince time.Time `json:"refused_since,omitzero"`
	Pending      bool      `json:"pending"`           // it lacks lines, and is used if it stays so
	Notices      []string  `json:"notices,omitempty"` // lines whose owner cannot be a username
}

// Kafka is how following changes of owners goes.
type Kafka struct {
	State     string    `json:"state"` // connecting, well or away
	Severity  Severity  `json:"term"`
	Since     time.Time `json:"since"`
	LastError string    `json:"last_error,omitempty"` // while it is not well
	LastEvent time.Time `json:"last_event,omitzero"`
	Topics    int       `json:"topics"`
	Lag       int64     `json:"lag_events"` // not read yet
	Gaps      uint64    `json:"gaps"`       // times at which events may have been missed
}

// Backend is a broker, and whether it gets sessions.
type Backend struct {
	Address  string    `json:"address"`
	Name     string    `json:"name"` // as configured
	Sessions int       `json:"sessions"`
	State    string    `json:"state"`
	Severity Severity  `json:"term"` // Warning: few or no new sessions, and that is in order; Critical: it is not
	Since    time.Time `json:"since,omitzero"`
	Reason   string    `json:"reason,omitempty"` // of the last ejection, which may be over
	Detail   string    `json:"detail,omitempty"` // what exactly went wrong
	NextTry  time.Time `json:"next_try,omitzero"`
}

// Limit is a bound, and how much of it is used.
type Limit struct {
	Name  string `json:"name"`
	Limit int    `json:"limit"`          // 0 = none
	Used  *int   `json:"used,omitempty"` // nil = nothing is counted

	UsedUp string `json:"-"` // what happens then, a sentence
}

// status is GET /status.
func (a *server) status(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, a.Status())
}
