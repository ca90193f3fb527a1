// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"encoding/json"
	"net/http"
	"strings"
)

// reply answers with JSON. What is in it cannot end up as HTML: encoding/json
// escapes <, > and &, too.
func reply(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(document) // fails when nobody listens any more
}

// complaint is the document of an answer that is none.
type complaint struct {
	Errors []string `json:"errors"`
}

// complain answers with what is wrong, one element a line.
func complain(w http.ResponseWriter, status int, err error) {
	reply(w, status, complaint{strings.Split(err.Error(), "\n")})
}
