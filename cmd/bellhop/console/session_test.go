package console

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/console/api"
)

// three gives a console its three tokens.
func three(o *Options) {
	o.Token, o.ReadToken, o.WidgetToken = "op-token", "read-token", "widget-token"
}

func TestRoles(t *testing.T) {
	s, _ := open(t, func(o *Options) {
		three(o)
		o.Lanes = noLanes{}
	})
	for _, tt := range []struct {
		method, path string
		// what nobody, the widget, a reader and an operator get
		want [4]int
	}{
		{"GET", "/", [4]int{200, 200, 200, 200}},
		{"GET", "/healthz", [4]int{200, 200, 200, 200}},
		{"GET", "/metrics", [4]int{401, 403, 200, 200}},
		{"GET", "/api/v1/stats", [4]int{401, 200, 200, 200}},
		{"GET", "/api/v1/series", [4]int{401, 200, 200, 200}},
		{"GET", "/api/v1/breakdown?by=rule", [4]int{401, 403, 200, 200}},
		{"GET", "/api/v1/rules", [4]int{401, 403, 200, 200}},
		{"GET", "/api/v1/lanes", [4]int{401, 403, 200, 200}},
		{"POST", "/api/v1/rules/rollback", [4]int{401, 403, 403, 200}},
		{"POST", "/api/v1/lanes/pause", [4]int{401, 403, 403, 200}},
		{"GET", "/api/v1/nothing", [4]int{401, 403, 404, 404}},
		{"GET", "/api/v1/../../etc/passwd", [4]int{404, 404, 404, 404}},
	} {
		for i, token := range []string{"", "widget-token", "read-token", "op-token"} {
			header := map[string]string{"X-Bellhop": "1", "Host": "bellhop.example.com"}
			if token != "" {
				header["Authorization"] = "Bearer " + token
			}
			body := ""
			switch tt.path {
			case "/api/v1/rules/rollback":
				body = `{"version":"1"}`
			case "/api/v1/lanes/pause":
				body = `{"endpoint":"https://crm.example.com"}`
			}
			code, text, _ := ask(t, tt.method, s.URL()+tt.path, body, header)
			if strings.Contains(tt.path, "..") {
				if code == 200 || strings.Contains(text, "root:") {
					t.Errorf("%s %s = %d %s, want nothing of the disk", tt.method, tt.path, code, text)
				}
				continue
			}
			if code != tt.want[i] {
				t.Errorf("%s %s with %q = %d %s, want %d", tt.method, tt.path, token, code, text, tt.want[i])
			}
		}
	}
}

func TestSignIn(t *testing.T) {
	s, _ := open(t, three)
	write := map[string]string{"X-Bellhop": "1"}
	if code, _, h := ask(t, "POST", s.URL()+api.SessionPath, `{"token":"wrong"}`, write); code != 401 || h.Get("Set-Cookie") != "" {
		t.Errorf("a wrong token = %d with cookie %q, want 401 and none", code, h.Get("Set-Cookie"))
	}
	if code, _, _ := ask(t, "POST", s.URL()+api.SessionPath, `{"token":"op-token"}`, nil); code != 403 {
		t.Errorf("signing in without X-Bellhop = %d, want 403", code)
	}
	for _, tt := range []struct {
		token, role string
		write       bool
	}{{"op-token", "operator", true}, {"read-token", "reader", false}} {
		code, body, h := ask(t, "POST", s.URL()+api.SessionPath, `{"token":"`+tt.token+`"}`, write)
		cookie := h.Get("Set-Cookie")
		for _, attribute := range []string{"HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"} {
			if !strings.Contains(cookie, attribute) {
				t.Errorf("the cookie %q lacks %s", cookie, attribute)
			}
		}
		if code != 200 || strings.Contains(cookie, tt.token) || strings.Contains(cookie, "Secure") {
			t.Errorf("signing in by plain HTTP = %d, cookie %q: want 200 and a cookie without the token or Secure", code, cookie)
		}
		var session api.Session
		if err := json.Unmarshal([]byte(body), &session); err != nil || session.Role != tt.role || session.CanWrite != tt.write || session.Expires == nil {
			t.Errorf("the session is %s, %v, want %s", body, err, tt.role)
		}
		value, _, _ := strings.Cut(cookie, ";")
		if code, body, _ := ask(t, "GET", s.URL()+"/api/v1/rules", "", map[string]string{"Cookie": value}); code != 200 {
			t.Errorf("a %s's session reads rules: %d %s, want 200", tt.role, code, body)
		}
		want := 403
		if tt.write {
			want = 200
		}
		header := map[string]string{"Cookie": value, "X-Bellhop": "1"}
		if code, _, _ := ask(t, "POST", s.URL()+api.RollbackPath, `{"version":"1"}`, header); code != want {
			t.Errorf("a %s's session rolls back: %d, want %d", tt.role, code, want)
		}
		// Each part of it counts.
		for i := range value[len(sessionCookie)+1:] {
			b := []byte(value)
			b[len(sessionCookie)+1+i] ^= 1
			if code, _, _ := ask(t, "GET", s.URL()+"/api/v1/rules", "", map[string]string{"Cookie": string(b)}); code == 200 && i < len(value)-len(sessionCookie)-2 {
				t.Errorf("a session with its character %d changed reads rules", i)
			}
		}
	}
	_, _, h := ask(t, "POST", s.URL()+api.SessionPath, `{"token":"op-token"}`, map[string]string{"X-Bellhop": "1", "X-Forwarded-Proto": "https"})
	if !strings.Contains(h.Get("Set-Cookie"), "; Secure") {
		t.Errorf("the cookie behind a TLS proxy is %q, want Secure", h.Get("Set-Cookie"))
	}
	code, _, h := ask(t, "DELETE", s.URL()+api.SessionPath, "", write)
	if code != http.StatusNoContent || !strings.Contains(h.Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("signing out = %d, cookie %q, want the cookie's end", code, h.Get("Set-Cookie"))
	}
}

func TestSessionsEndWithTheirTime(t *testing.T) {
	o := &Options{}
	three(o)
	a := newAccess(o)
	r, _ := http.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: a.tokens[0].session(time.Now().Add(-time.Second))})
	if _, ok := a.bySession(r); ok {
		t.Error("a session is good after its end")
	}
	o.Token = "another"
	r, _ = http.NewRequest("GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: sessionCookie, Value: a.tokens[0].session(time.Now().Add(time.Hour))})
	if _, ok := newAccess(o).bySession(r); ok {
		t.Error("a session is good after its token was changed")
	}
	if c, ok := a.bySession(r); !ok || c.role != operator {
		t.Errorf("a good session is %v, %v, want the operator's", c, ok)
	}
}

func TestManyWrongTokensHaveToWait(t *testing.T) {
	s, _ := open(t, three)
	header := map[string]string{"Authorization": "Bearer old"}
	// A program with an old token keeps nobody out, itself apart.
	for range 2 * triesBurst {
		if code, _, _ := ask(t, "GET", s.URL()+"/api/v1/stats", "", header); code != 401 {
			t.Fatalf("the same wrong token again = %d, want 401", code)
		}
	}
	refused := 0
	for i := range triesBurst + 5 {
		header["Authorization"] = "Bearer guess" + strconv.Itoa(i)
		code, _, h := ask(t, "GET", s.URL()+"/api/v1/stats", "", header)
		if code == http.StatusTooManyRequests && h.Get("Retry-After") != "" {
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("%d wrong tokens in a row are all looked at", triesBurst+5)
	}
	if code, _, _ := ask(t, "GET", s.URL()+"/healthz", "", header); code != 200 {
		t.Errorf("/healthz = %d, want 200 whatever its token", code)
	}
}

func TestWidgetIsFramedByThoseWhoMay(t *testing.T) {
	s, _ := open(t, func(o *Options) { o.EmbedOrigins = []string{"https://portal.example.com"} })
	for path, want := range map[string]string{
		"/widget": "frame-ancestors 'self' https://portal.example.com", "/": "frame-ancestors 'none'", "/api/v1/stats": "frame-ancestors 'none'",
	} {
		_, _, h := ask(t, "GET", s.URL()+path, "", nil)
		if policy := h.Get("Content-Security-Policy"); !strings.HasSuffix(policy, want) || strings.Contains(policy, "unsafe") {
			t.Errorf("%s has the policy %q, want its end %q", path, policy, want)
		}
		if frame := h.Get("X-Frame-Options"); (frame == "DENY") == (path == "/widget") {
			t.Errorf("%s has X-Frame-Options %q", path, frame)
		}
	}
}

func TestBadgeTakesTheWidgetsTokenFromItsURL(t *testing.T) {
	s, _ := open(t, three)
	for path, want := range map[string]bool{
		"/badge.svg": false, "/badge.svg?token=wrong": false, "/badge.svg?token=widget-token": true, "/api/v1/stats?token=widget-token": false,
	} {
		if code, _, _ := ask(t, "GET", s.URL()+path, "", nil); (code != 401) != want {
			t.Errorf("GET %s = %d, want let in: %v", path, code, want)
		}
	}
}
