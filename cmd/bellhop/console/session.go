package console

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
)

const (
	sessionCookie = "bellhop_session"
	sessionTime   = 12 * time.Hour
)

var (
	errWrongToken = errors.New("the token is wrong")
	errNoBearer   = errors.New("a token is needed: Authorization: Bearer TOKEN, not another scheme, and not without one")
	errTooMany    = errors.New("too many wrong tokens came from this address: wait a moment")
)

// A session is its end and a number that makes it one of a kind, signed with a key that only its token gives: it holds on every
// daemon with that token, through restarts, and ends with the token.
func (t *tokenOf) session(ends time.Time) string {
	text := strconv.FormatInt(ends.Unix(), 10) + "." + rand.Text()
	return text + "." + t.sign(text)
}

func (t *tokenOf) sign(text string) string {
	m := hmac.New(sha256.New, t.key[:])
	m.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// bySession reads the session's cookie.
func (a *access) bySession(r *http.Request) (caller, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return caller{}, false
	}
	cut := strings.LastIndexByte(cookie.Value, '.')
	if cut < 0 {
		return caller{}, false
	}
	text, signature := cookie.Value[:cut], []byte(cookie.Value[cut+1:])
	until, _, _ := strings.Cut(text, ".")
	unix, err := strconv.ParseInt(until, 10, 64)
	if err != nil || time.Now().Unix() >= unix {
		return caller{}, false
	}
	for i := range a.tokens {
		t := &a.tokens[i]
		if hmac.Equal(signature, []byte(t.sign(text))) {
			return caller{role: t.role, by: fmt.Sprintf("%s signed in, %s", t.role, r.RemoteAddr), expires: time.Unix(unix, 0).UTC()}, true
		}
	}
	return caller{}, false
}

func (a *access) describe(c caller) api.Session {
	out := api.Session{Role: c.role.String(), CanWrite: c.role >= operator, TokenRequired: !a.open()}
	if !c.expires.IsZero() {
		out.Expires = &c.expires
	}
	return out
}

func (s *Server) session(a *access) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { answer(w, a.describe(callerOf(r))) }
}

// signIn exchanges a token for a session.
func (s *Server) signIn(a *access) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Token string `json:"token"`
		}
		if !read(w, r, &body, `{"token": "TOKEN"}`) {
			return
		}
		if a.open() {
			answer(w, a.describe(callerOf(r)))
			return
		}
		if a.tries.tooMany(r.RemoteAddr) {
			w.Header().Set("Retry-After", "10")
			problem(w, http.StatusTooManyRequests, errTooMany.Error())
			return
		}
		t := a.check(body.Token)
		if t == nil {
			a.tries.wrong(r.RemoteAddr, body.Token)
			s.o.Log.Warn("sign-in refused", zap.String("by", r.RemoteAddr))
			problem(w, http.StatusUnauthorized, errWrongToken.Error())
			return
		}
		ends := time.Now().Add(sessionTime).Truncate(time.Second)
		http.SetCookie(w, &http.Cookie{
			Name: sessionCookie, Value: t.session(ends), Path: "/", Expires: ends, MaxAge: int(sessionTime.Seconds()),
			HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode,
		})
		s.o.Log.Info("signed in", zap.Stringer("role", t.role), zap.String("by", r.RemoteAddr))
		answer(w, a.describe(caller{role: t.role, expires: ends.UTC()}))
	}
}

func (s *Server) signOut(w http.ResponseWriter, r *http.Request) {
	if c := callerOf(r); !c.expires.IsZero() {
		s.o.Log.Info("signed out", zap.Stringer("role", c.role), zap.String("by", r.RemoteAddr))
	}
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: secure(r), SameSite: http.SameSiteStrictMode,
	})
	w.WriteHeader(http.StatusNoContent)
}

// secure tells whether the browser came by TLS: by this connection, or by that of a proxy, as it says. Who lies here only
// keeps its own browser from sending the cookie.
func secure(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}
