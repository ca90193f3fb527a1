// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/vernegate/vernegate/internal/untrusted"
)

// Kind says why a look-up could not tell; its text is fit for a metric label.
type Kind string

// The kinds of LookupError.
const (
	KindBusy       Kind = "busy"       // no slot for the request became free in time
	KindTimeout    Kind = "timeout"    // no complete answer in time
	KindCanceled   Kind = "canceled"   // the caller's context was cancelled
	KindConnection Kind = "connection" // not resolved, refused, reset, or not HTTP
	KindStatus     Kind = "status"     // a status other than 200 and 404
	KindBody       Kind = "body"       // a 200 or 404 whose body is not certificate-acl's
)

// LookupError is the error of a look-up that could not tell who owns a
// certificate. It never means that it has none.
//
// Its text is one bounded line. It holds no byte of a response's body, and
// quotes what else a server managed to get into a cause.
type LookupError struct {
	Kind   Kind
	Status int   // HTTP status of the answer, 0 when there was none
	Err    error // cause, nil for KindStatus
}

func (e *LookupError) Error() string { return "certificate-acl " + e.Details() }

// Details is Happened with the cause behind it.
func (e *LookupError) Details() string {
	if e.Err == nil {
		return e.Happened()
	}
	return e.Happened() + ": " + untrusted.Text(e.Err.Error())
}

// Happened says in a few words what certificate-acl did, for people: "answered 503", for instance.
func (e *LookupError) Happened() string {
	switch e.Kind {
	case KindBusy:
		return "was asked too much at a time"
	case KindTimeout:
		return "did not answer in time"
	case KindCanceled:
		return "was not waited for"
	case KindConnection:
		return "could not be reached"
	case KindBody:
		return fmt.Sprintf("answered %d with something that is no answer", e.Status)
	case KindStatus:
		return fmt.Sprintf("answered %d", e.Status)
	}
	return "could not tell (" + string(e.Kind) + ")"
}

// Unwrap returns the cause, so that errors.Is finds
// context.DeadlineExceeded and its like.
func (e *LookupError) Unwrap() error { return e.Err }

// transportError files what net/http returned for a request with ctx. The
// url.Error around it is dropped: it repeats the configured URL.
func transportError(ctx context.Context, err error, status int) *LookupError {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	kind := KindConnection
	switch ctx.Err() { // err may be ctx's cause, which can be anything
	case context.Canceled:
		kind = KindCanceled
	case context.DeadlineExceeded:
		kind = KindTimeout
	}
	return &LookupError{Kind: kind, Status: status, Err: err}
}

// PanicError is returned by Owner when Lookup panicked. The look-up ends, the
// process and its sessions do not.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // as debug.Stack formats it
}

func (e *PanicError) Error() string {
	return "asking certificate-acl: panic: " + untrusted.Text(fmt.Sprint(e.Value))
}
