// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"
)

// Answers that are none: each is for [ACL.Answer], and each means "could not tell".

// ServerError answers 500.
func ServerError(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "{\"error\":\"redis is away\"}", http.StatusInternalServerError)
}

// HTML answers 200 with a web page, as a captive portal or an ingress does.
func HTML(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<!doctype html><title>Welcome</title>\"acme:lamp\"\n"))
}

// Object answers 200 with JSON that is not a string.
func Object(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("{\"owner\":\"acme:lamp\"}"))
}

// Huge answers 200 with a JSON string of 1 MiB.
func Huge(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte("\"acme:" + strings.Repeat("x", 1<<20) + "\""))
}

// NoRoute answers as Express does when a path is no route of a service.
func NoRoute(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusNotFound)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>Error</title>\n</head>\n"+
		"<body>\n<pre>Cannot %s %s</pre>\n</body>\n</html>\n", r.Method, html.EscapeString(r.URL.Path))
}

// DefaultBackend answers as an ingress does that has nowhere to send a request.
func DefaultBackend(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, "default backend - 404", http.StatusNotFound)
}

// Redirect returns an answer that redirects to another place.
func Redirect(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to, http.StatusFound)
	}
}

// Hang answers nothing until the client has gone away.
func Hang(_ http.ResponseWriter, r *http.Request) {
	<-r.Context().Done()
}

// Drip answers 200 and then a byte of a JSON string every 50 ms, without end: each
// byte comes in time, the answer never does.
func Drip(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w)
	w.Header().Set("Content-Type", "application/json")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for b := byte('"'); ; b = 'a' {
		if _, err := w.Write([]byte{b}); err != nil || flush.Flush() != nil {
			return
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}
