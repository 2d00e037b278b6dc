package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"bellhop/cmd/bellhop/console/api"
)

// role is what somebody may do. Each may all that the lesser ones may.
type role int

// The roles.
const (
	nobody   role = iota
	widget        // read counts
	reader        // read everything
	operator      // change things
)

func (r role) String() string {
	return [...]string{nobody: "none", widget: "widget", reader: "reader", operator: "operator"}[r]
}

// access says who may ask.
type access struct {
	local  bool // the Unix socket: its mode is the guard
	tokens []tokenOf
	tries  tries
}

// tokenOf is what a token allows. Of the token itself only its digest is kept.
type tokenOf struct {
	sum  [sha256.Size]byte
	key  [sha256.Size]byte // signs the sessions that were begun with it
	role role
}

func newAccess(o *Options) *access {
	a := &access{}
	for _, t := range []struct {
		token string
		role  role
	}{{o.Token, operator}, {o.ReadToken, reader}, {o.WidgetToken, widget}} {
		if t.token != "" {
			a.tokens = append(a.tokens, tokenOf{sum: sha256.Sum256([]byte(t.token)), key: sha256.Sum256([]byte("bellhop session\x00" + t.token)), role: t.role})
		}
	}
	return a
}

// open tells whether no token is asked for.
func (a *access) open() bool { return a.local || len(a.tokens) == 0 }

// check compares a token with all that there are, in constant time whatever its length.
func (a *access) check(token string) *tokenOf {
	got := sha256.Sum256([]byte(token))
	var found *tokenOf
	for i := range a.tokens {
		if subtle.ConstantTimeCompare(got[:], a.tokens[i].sum[:]) == 1 {
			found = &a.tokens[i]
		}
	}
	return found
}

// caller is who asks.
type caller struct {
	role    role
	by      string // for the log
	expires time.Time
}

type callerKey struct{}

// callerOf gives who asks, which guard found out.
func callerOf(r *http.Request) caller {
	c, _ := r.Context().Value(callerKey{}).(caller)
	return c
}

// identify finds out who asks. An error is a token that is none.
func (a *access) identify(r *http.Request) (caller, error) {
	if a.local {
		return caller{role: operator, by: "the Unix socket"}, nil
	}
	if len(a.tokens) == 0 {
		return caller{role: operator, by: r.RemoteAddr}, nil
	}
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			// What stands in the scheme's place is not repeated: most likely it is the token.
			return caller{}, errNoBearer
		}
		return a.byToken(strings.TrimSpace(token), r)
	}
	if r.URL.Path == badgePath && r.URL.Query().Has("token") {
		// An image in a page of others can bring neither header nor cookie. Only the widget's token may stand in a URL.
		c, err := a.byToken(r.URL.Query().Get("token"), r)
		c.role = min(c.role, widget)
		return c, err
	}
	if c, ok := a.bySession(r); ok {
		return c, nil
	}
	return caller{}, nil
}

func (a *access) byToken(token string, r *http.Request) (caller, error) {
	if a.tries.tooMany(r.RemoteAddr) {
		return caller{}, errTooMany
	}
	t := a.check(token)
	if t == nil {
		a.tries.wrong(r.RemoteAddr, token)
		return caller{}, errWrongToken
	}
	return caller{role: t.role, by: fmt.Sprintf("%s with a token, %s", t.role, r.RemoteAddr)}, nil
}

// Paths that are asked for without the page.
const (
	badgePath  = "/badge.svg"
	widgetPath = "/widget"
)

// needs is the least role that a request takes.
func needs(r *http.Request) role {
	switch p := r.URL.Path; {
	case p == badgePath, p == api.StatsPath, p == api.SeriesPath:
		return widget
	case p == api.SessionPath, p == api.DescriptionPath:
		return nobody
	case p == api.TryPath:
		return reader // it sends nothing
	case p == "/metrics":
		return reader
	case strings.HasPrefix(p, "/api/"):
		if isRead(r) {
			return reader
		}
		return operator
	}
	// The probes, and what the page is made of, which holds no data: whoever is to sign in must see where.
	return nobody
}

// isRead tells whether a request's method is safe (RFC 9110, section 9.2.1): it changes nothing.
func isRead(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// guard lets a request pass or refuses it, and sets what every answer carries.
func (s *Server) guard(next http.Handler, a *access) http.Handler {
	frames := "'none'"
	if len(s.o.EmbedOrigins) > 0 {
		frames = "'self' " + strings.Join(s.o.EmbedOrigins, " ")
	}
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors "
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
		if r.URL.Path == widgetPath {
			h.Set("Content-Security-Policy", policy+frames)
		} else {
			h.Set("Content-Security-Policy", policy+"'none'")
			h.Set("X-Frame-Options", "DENY")
			if r.URL.Path != badgePath {
				h.Set("Cross-Origin-Resource-Policy", "same-origin")
			}
		}
		if a.open() && !a.local && !loopback(r.Host) {
			// A page elsewhere that got a browser to call this address by a name of its own is not the operator.
			problem(w, http.StatusForbidden, "the Host must be loopback on a console without a token")
			return
		}
		need := needs(r)
		c, err := a.identify(r)
		if need > nobody && errors.Is(err, errTooMany) {
			h.Set("Retry-After", "10")
			problem(w, http.StatusTooManyRequests, err.Error())
			return
		}
		if c.role < need {
			if c.role == nobody {
				h.Set("WWW-Authenticate", `Bearer realm="bellhop"`)
				detail := "a token is needed: Authorization: Bearer TOKEN"
				if err != nil {
					detail = err.Error()
				}
				problem(w, http.StatusUnauthorized, detail)
				return
			}
			problem(w, http.StatusForbidden, fmt.Sprintf("the %s's token does not allow that: the %s's does", c.role, need))
			return
		}
		if !isRead(r) && r.Header.Get(api.WriteHeader) != "1" {
			problem(w, http.StatusForbidden, "a write needs the header X-Bellhop: 1")
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, c)))
	})
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
