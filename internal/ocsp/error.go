// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package ocsp

import (
	"context"
	"errors"
	"fmt"

	"github.com/vernegate/vernegate/internal/untrusted"
)

// Kind says why the status of a certificate could not be found out; its text is fit for a metric label.
type Kind string

// The kinds of Error.
const (
	KindNoResponder Kind = "no_responder"      // the certificate names none that may be asked
	KindBackOff     Kind = "back_off"          // it has failed just now, and is not asked for a moment
	KindBusy        Kind = "busy"              // too many requests to it are under way
	KindTimeout     Kind = "timeout"           // no complete answer in time
	KindCanceled    Kind = "canceled"          // the caller's context was cancelled
	KindConnection  Kind = "connection"        // not resolved, refused, reset, or not HTTP
	KindHTTP        Kind = "http_status"       // an HTTP status other than 200
	KindTryLater    Kind = "try_later"         // the responder says that it cannot answer now: tryLater, internalError
	KindRefused     Kind = "refused"           // it says that it does not answer this: unauthorized, sigRequired, malformedRequest
	KindMalformed   Kind = "malformed"         // no OCSP response, or one that is too large
	KindOther       Kind = "other_certificate" // an answer about another certificate
	KindSigner      Kind = "signer"            // not signed by the issuer, nor by somebody whom it has delegated
	KindStale       Kind = "stale"             // an answer from the past or from the future
	KindNonce       Kind = "nonce"             // the answer to another request, or one without the nonce that was asked for
	KindPanic       Kind = "panic"             // reading the answer made this program panic: Err is a *PanicError
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{
		KindNoResponder, KindBackOff, KindBusy, KindTimeout, KindCanceled, KindConnection, KindHTTP, KindTryLater,
		KindRefused, KindMalformed, KindOther, KindSigner, KindStale, KindNonce, KindPanic,
	}
}

// Error is the error of a question whose answer could not be found out. It never means that a certificate is revoked.
//
// Its text is one bounded line, in which what a responder said is quoted.
type Error struct {
	Kind      Kind
	Responder string // its host, "" if none was chosen
	Err       error

	down      bool // the responder fails, whatever it is asked about, at this URL and for this CA
	unreached bool // its server does, wherever it is asked
}

func (e *Error) Error() string {
	from := ""
	if e.Responder != "" {
		from = " " + untrusted.Text(e.Responder)
	}
	return fmt.Sprintf("asking OCSP responder%s: %s: %s", from, e.Kind, untrusted.Text(e.Err.Error()))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// PanicError is the cause of an Error when asking panicked. The question ends, the process does not.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // as debug.Stack formats it
}

func (e *PanicError) Error() string { return fmt.Sprint(e.Value) }

// KindOf returns the kind of an error of Client; "" of others.
func KindOf(err error) Kind {
	e, _ := errors.AsType[*Error](err)
	if e == nil {
		return ""
	}
	return e.Kind
}

func wrong(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// transportError classifies what package net and net/http return.
func transportError(ctx context.Context, err error) *Error {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: KindCanceled, Err: err}
	case ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return &Error{Kind: KindTimeout, Err: err, down: true}
	}
	return &Error{Kind: KindConnection, Err: err, down: true}
}
