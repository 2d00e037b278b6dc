package console

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"bellhop/cmd/bellhop/console/api"
)

// access says who may ask.
type access struct {
	local bool   // the Unix socket: its mode is the guard
	token string // "" asks for a loopback Host
}

// guard lets a request pass or refuses it, and sets what every answer carries.
func guard(next http.Handler, a access) http.Handler {
	want := sha256.Sum256([]byte(a.token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
		h.Set("Cache-Control", "no-store")
		probe := r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
		switch {
		case a.local:
		case a.token != "" && !probe && !authorized(r, want):
			h.Set("WWW-Authenticate", `Bearer realm="bellhop"`)
			problem(w, http.StatusUnauthorized, "a token is needed: Authorization: Bearer TOKEN")
			return
		case a.token == "" && !loopback(r.Host):
			// A page elsewhere that got a browser to call this address by a name of its own is not the operator.
			problem(w, http.StatusForbidden, "the Host must be loopback on a console without a token")
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Header.Get(api.WriteHeader) != "1" {
			problem(w, http.StatusForbidden, "a write needs the header X-Bellhop: 1")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// authorized compares tokens in constant time, of whatever length.
func authorized(r *http.Request, want [sha256.Size]byte) bool {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return false
	}
	got := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// loopback tells whether a Host header names this machine's loopback.
func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
