// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package certacl_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/vernegate/vernegate/certacl"
	"github.com/vernegate/vernegate/internal/pki"
)

func TestFailureIsToldInWords(t *testing.T) {
	t.Parallel()
	for want, answer := range map[string]http.HandlerFunc{
		"answered 503": answering(503, "busy"),
		"answered 200 with something that is no answer": answering(200, "<html>"),
		"answered 404 with something that is no answer": answering(404, "nothing here"),
	} {
		_, _, err := newClient(t, serve(t, answer).URL).Lookup(t.Context(), pki.Fingerprint{})
		failure, ok := err.(*certacl.LookupError)
		if !ok || failure.Happened() != want {
			t.Errorf("got %v, want that certificate-acl %s", err, want)
		}
		if got := err.Error(); got != "certificate-acl "+want && !strings.HasPrefix(got, "certificate-acl "+want+": ") {
			t.Errorf("the error is %q, want that certificate-acl %s", got, want)
		}
	}
	for kind, want := range map[certacl.Kind]string{
		certacl.KindBusy: "was asked too much at a time", certacl.KindTimeout: "did not answer in time", certacl.KindConnection: "could not be reached",
		certacl.KindCanceled: "was not waited for",
	} {
		if got := (&certacl.LookupError{Kind: kind}).Happened(); got != want {
			t.Errorf("%s: got %q, want %q", kind, got, want)
		}
	}
}
