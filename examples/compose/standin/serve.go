// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// serve answers as certificate-acl does, at its path, until it fails. The owners
// are read again for every question, so that they can be edited.
func serve(address, dir string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /internal/api/v1/acl-entries/{fingerprint}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, dir, r.PathValue("fingerprint"))
	})
	s := &http.Server{Addr: address, Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return s.ListenAndServe()
}

// answer writes the owner of a certificate as a JSON string, or 404 and a JSON
// object with the error.
func answer(w http.ResponseWriter, dir, fingerprint string) {
	owners, err := readOwners(dir)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	owner, ok := owners[fingerprint]
	if !ok {
		answerJSON(w, http.StatusNotFound, map[string]string{"error": fmt.Sprintf("The fingerprint %s doesn't exist.", fingerprint)})
		return
	}
	answerJSON(w, http.StatusOK, owner)
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may be gone
}
