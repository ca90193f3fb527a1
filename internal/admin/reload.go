// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"errors"
	"net/http"
)

// Reloaded is what came of reading the trust files, and the document of
// POST /reload when they are good.
type Reloaded struct {
	Generation uint64 `json:"generation"` // in use now
	Changed    bool   `json:"changed"`    // since before
}

// reload is POST /reload.
func (a *server) reload(w http.ResponseWriter, r *http.Request) {
	result, err := a.Reload(r.Context())
	a.Audit.Info("trust files read for an operator", append(requestAttrs(r), "accepted", err == nil)...)
	switch {
	case errors.Is(err, ErrNotStarted):
		writeError(w, http.StatusConflict, err)
	case err != nil:
		writeError(w, http.StatusUnprocessableEntity, err)
	default:
		writeJSON(w, http.StatusOK, result)
	}
}
