// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
)

// writeJSON answers with JSON. What is in it cannot end up as HTML: encoding/json
// escapes <, > and &, too.
func writeJSON(w http.ResponseWriter, status int, document any) {
	var b bytes.Buffer // so that what cannot be encoded is an error and not half a document
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w)
}

// errorBody is the document of an answer that is none.
type errorBody struct {
	Errors []string `json:"errors"`
}

// writeError answers with what is wrong, one element a line.
func writeError(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, errorBody{strings.Split(err.Error(), "\n")})
}
