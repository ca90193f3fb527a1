// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package truststore

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/vernegate/vernegate/internal/watch"
)

// Kind is what a part of the trust files is.
type Kind string

// Kinds of parts. Each part is judged by itself, and keeps its own last good version.
const (
	KindServer  Kind = "server"  // a server certificate with its key
	KindCAs     Kind = "cas"     // the CA certificates of a file
	KindCRL     Kind = "crl"     // one CA's list, of one scope
	KindTickets Kind = "tickets" // the keys of session tickets
)

// A Refusal is a part that is no good as it is in its file now. Its last good version stays in use, if it has had one.
type Refusal struct {
	Kind  Kind
	File  string // as configured; of a server certificate its own, not its key's
	Name  string // of a CRL, its issuer; may be empty
	Err   error
	Since time.Time
}

// partID tells the parts from each other that Refusals are about.
type partID struct {
	kind       Kind
	file, name string
}

func (r *Refusal) part() partID { return partID{r.Kind, r.File, r.Name} }

// text returns the part and what is wrong with it.
func (r *Refusal) text() string { return fmt.Sprintf("%q: %v", r.part(), r.Err) }

// A Notice is something about parts that are in use, or were passed over, that the operator should know.
type Notice struct {
	Message string // without facts
	Attrs   []slog.Attr
}

// String returns the message with its facts, in one line. Times are as in the log (RFC 3339).
func (n Notice) String() string {
	var b strings.Builder
	b.WriteString(n.Message)
	for i, a := range n.Attrs {
		b.WriteString([]string{": ", ", "}[min(i, 1)])
		if a.Value.Kind() == slog.KindTime {
			a.Value = slog.StringValue(a.Value.Time().Format(time.RFC3339))
		}
		b.WriteString(a.String())
	}
	return b.String()
}

// startRule is what a part that is no good means for Open.
type startRule uint8

const (
	goesOn  startRule = iota // without the part
	fetches                  // until the time for fetching is up, and then goes on without it
	waits                    // until the time is up, and then goes on without it
	fails                    // when the time is up
)

// A problem is a refusal in the making.
type problem struct {
	Refusal
	start startRule
	none  bool // there is no last good version
}

// A part has one version of what its files say in use, and may have another one that is not believed yet.
type part[T any] struct {
	good    *T
	files   []File // that good was read from
	pending candidate
}

// candidate is a good version that has to stay the same for a while.
type candidate struct {
	files []File
	since time.Time
}

// isCurrent reports whether these are the files of the version in use, and if so forgets any other one.
func (p *part[T]) isCurrent(files []File) bool {
	if p.good == nil || !slices.Equal(p.files, files) {
		return false
	}
	p.pending = candidate{}
	return true
}

// take puts a version in use.
func (p *part[T]) take(version *T, files []File) {
	*p = part[T]{good: version, files: files}
}

// hasSettled reports whether a version that takes something away has been there for long enough: from the end of the reading
// that has found it to the beginning of this one, as reading may take long.
func (c *candidate) hasSettled(files []File, a *attempt) bool {
	if !slices.Equal(c.files, files) {
		*c = candidate{files, a.now}
	}
	return a.began.Sub(c.since) >= watch.SettleDelay
}
