// SPDX-FileCopyrightText: The vernegate authors
// SPDX-License-Identifier: Apache-2.0

package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
)

// minToken is how many characters a token has at least: random ones, as
// "openssl rand -hex 16" gives twice as many, are not guessed over HTTP.
const minToken = 16

// tokenSyntax is what a bearer token may consist of (RFC 6750 §2.1).
var tokenSyntax = regexp.MustCompile(`^[A-Za-z0-9._~+/-]+=*$`)

// A Token is the hash of a secret that operators show as a bearer token. The
// zero Token accepts nothing. It holds no secret and may be printed.
type Token struct {
	set  bool
	hash [sha256.Size]byte
}

// UnmarshalText takes the secret. White space around it does not count, as
// files end with a new line. The error does not quote it.
func (t *Token) UnmarshalText(text []byte) error {
	secret := strings.TrimSpace(string(text))
	if len(secret) < minToken || !tokenSyntax.MatchString(secret) {
		return fmt.Errorf("expected at least %d letters, digits or any of ._~+/- such as openssl rand -hex 16 prints", minToken)
	}
	*t = Token{true, sha256.Sum256([]byte(secret))}
	return nil
}

// IsSet reports whether there is a secret.
func (t Token) IsSet() bool { return t.set }

// accepts reports whether secret is the right one, in a time that tells nothing
// about either: hashes of one length are compared.
func (t Token) accepts(secret string) bool {
	hash := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(hash[:], t.hash[:]) == 1 && t.set
}

// Why a request is refused.
var (
	errNoToken    = errors.New("VERNEGATE_ADMIN_TOKEN is not set, so nobody may do this")
	errUnshown    = errors.New("this needs VERNEGATE_ADMIN_TOKEN as a bearer token")
	errWrongToken = errors.New("the bearer token is not the one of VERNEGATE_ADMIN_TOKEN")
)

// requireToken lets requests through to h that show the token. A browser does not show
// it by itself, so that no other site can make it ask for something here.
func (a *server) requireToken(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := a.Token.check(r.Header.Get("Authorization"))
		switch err {
		case nil:
			h(w, r)
			return
		case errNoToken:
			writeText(w, http.StatusForbidden, err.Error())
		case errUnshown: // RFC 6750 §3: without an error code
			w.Header().Set("WWW-Authenticate", `Bearer realm="vernegate"`)
			writeText(w, http.StatusUnauthorized, err.Error())
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="vernegate", error="invalid_token"`)
			writeText(w, http.StatusUnauthorized, err.Error())
		}
		a.Audit.Warn("admin request refused", append(requestAttrs(r), "err", err)...)
	}
}

// errUnread is a request for what only those may read who have a token.
var errUnread = errors.New("this needs VERNEGATE_ADMIN_READ_TOKEN or VERNEGATE_ADMIN_TOKEN: as a bearer token, or in a browser as the password of any user")

// requireReading lets requests through to h that show one of the tokens, if there is one
// for reading. A browser, which cannot show a bearer token, may show it as a password
// (RFC 7617): nothing is changed by reading, and no other site sees the answer.
func (a *server) requireReading(h http.HandlerFunc) http.HandlerFunc {
	if !a.ReadToken.set {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) {
		secret := shownSecret(r)
		if a.ReadToken.accepts(secret) || a.Token.accepts(secret) {
			h(w, r)
			return
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="vernegate"`)
		w.Header().Add("WWW-Authenticate", `Basic realm="vernegate", charset="UTF-8"`)
		writeText(w, http.StatusUnauthorized, errUnread.Error())
		if secret != "" { // a browser asks without one first
			a.Audit.Warn("admin request refused", append(requestAttrs(r), "err", "the token is a wrong one")...)
		}
	}
}

// shownSecret returns the bearer token or the password of a request, "" if it has none.
func shownSecret(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return secret
}

// check judges a header Authorization.
func (t Token) check(authorization string) error {
	scheme, secret, _ := strings.Cut(authorization, " ")
	switch {
	case !t.set:
		return errNoToken
	case !strings.EqualFold(scheme, "Bearer"):
		return errUnshown
	case !t.accepts(secret):
		return errWrongToken
	}
	return nil
}

// requestAttrs are the attributes of a request in an audit line.
func requestAttrs(r *http.Request) []any {
	return []any{slog.String("remote", r.RemoteAddr), slog.String("method", r.Method), slog.String("path", r.URL.Path)}
}
