package httpapi

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
)

// credential recognises a bearer token by its digest. Digests have one length, so that comparing them takes the same time whatever is shown.
type credential struct {
	digest [sha256.Size]byte
	set    bool
}

func newCredential(token string) credential {
	return credential{digest: sha256.Sum256([]byte(token)), set: token != ""}
}

func (c credential) shownBy(r *http.Request) bool {
	token, ok := bearerToken(r)
	if !ok || !c.set {
		return false
	}
	digest := sha256.Sum256([]byte(token))
	return subtle.ConstantTimeCompare(digest[:], c.digest[:]) == 1
}

// bearerToken returns the token of the Authorization header (RFC 6750, section 2.1; the scheme's case doesn't matter).
func bearerToken(r *http.Request) (string, bool) {
	const scheme = "Bearer "
	header := r.Header.Get("Authorization")
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return "", false
	}
	return strings.TrimSpace(header[len(scheme):]), true
}

func refuseStranger(w http.ResponseWriter, r *http.Request) {
	challenge, detail := `Bearer realm="postrider"`, "the request has no bearer token: send `Authorization: Bearer …` with the admin token, "+
		"which is in the file admin-token of the daemon's data directory"
	if _, shown := bearerToken(r); shown {
		challenge += `, error="invalid_token"`
		detail = "the bearer token is not the admin's: it is in the file admin-token of the daemon's data directory"
	}
	w.Header().Set("WWW-Authenticate", challenge)
	writeProblem(w, problemf(http.StatusUnauthorized, "%s", detail))
}
