package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noRules is a daemon without rules whose rollbacks are counted.
type noRules struct{ rolled []string }

func (r *noRules) InForce() api.RuleList             { return api.RuleList{Rules: []api.Rule{}} }
func (r *noRules) Rule(name string) (api.Rule, bool) { return api.Rule{Name: name}, name == "crm" }
func (r *noRules) Versions() ([]api.Version, error)  { return nil, nil }
func (r *noRules) Version(string) (api.Version, error) {
	return api.Version{}, store.ErrNoVersion
}
func (r *noRules) Diff(string, string) (api.Diff, error) {
	return api.Diff{Files: []api.FileDiff{}}, nil
}
func (r *noRules) Rollback(ref string) (api.Version, error) {
	r.rolled = append(r.rolled, ref)
	return api.Version{Number: 2, Of: 1}, nil
}

// counted is a store that has counted three calls of the last minutes, one of which failed.
func counted(t *testing.T) *store.Store {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "bellhop.db"), store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	now := time.Now()
	var batch []store.Tally
	for i := range uint64(3) {
		one := store.Tally{
			Seq: i + 1, Time: now.Add(-time.Minute), ID: delivery.OutcomeID(fmt.Sprintf("%032x", i+1), 1, 1), Outcome: delivery.Delivered,
			EventType: "course.completed", Rule: "crm", Webhook: "a", Endpoint: "https://crm.example.com/x", Duration: 20 * time.Millisecond,
		}
		if i == 2 {
			one.Outcome, one.Kind = delivery.Failed, delivery.KindStatus
		}
		batch = append(batch, one)
	}
	if err := db.Apply(store.StreamID{Name: "WEBHOOKS", Created: now}, batch, 3); err != nil {
		t.Fatal(err)
	}
	return db
}

func open(t *testing.T, change func(*Options)) (*Server, *Options) {
	t.Helper()
	o := Options{
		Listen: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "bellhop.sock"), Version: "test", Ready: func() error { return nil },
		Counts: counted(t), Rules: &noRules{},
		Gatherer: prometheus.NewRegistry(), Log: zap.NewNop(),
	}
	if change != nil {
		change(&o)
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, &o
}

// ask sends a request without keeping its connection, and returns status and body.
func ask(t *testing.T, method, url, body string, header map[string]string) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	for k, v := range header {
		if k == "Host" {
			req.Host = v
			continue
		}
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

func TestAnswers(t *testing.T) {
	s, _ := open(t, nil)
	for _, tt := range []struct {
		method, path string
		want         int
		holds        string
	}{
		{"GET", "/healthz", 200, "ok"}, {"GET", "/readyz", 200, "ready"}, {"GET", "/metrics", 200, ""}, {"GET", "/", 200, "<title>Bellhop</title>"},
		{"GET", "/api/v1/stats", 200, `"calls":3,"errors":1`}, {"GET", "/api/v1/rules", 200, `"rules":[]`},
		{"GET", "/api/v1/rules/crm", 200, `"name":"crm"`}, {"GET", "/api/v1/rules/none", 404, `"detail":"rule \"none\" not found"`},
		{"GET", "/api/v1/versions/9", 404, "no such version"}, {"GET", "/nothing", 404, "is not here"},
		{"GET", "/api/v1/rules/versions", 404, `"detail":"rule \"versions\" not found"`}, {"GET", "/api/v1/rules/diff", 404, `rule \"diff\" not found`},
		{"GET", "/etc/passwd", 404, ""}, {"POST", "/api/v1/stats", 405, "takes GET, HEAD"}, {"TRACE", "/api/v1/stats", 405, "takes GET, HEAD"},
	} {
		code, body, h := ask(t, tt.method, s.URL()+tt.path, "", map[string]string{"X-Bellhop": "1"})
		if code != tt.want || !strings.Contains(body, tt.holds) {
			t.Errorf("%s %s = %d %q, want %d with %q", tt.method, tt.path, code, body, tt.want, tt.holds)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Security-Policy") == "" {
			t.Errorf("%s %s lacks its security headers: %v", tt.method, tt.path, h)
		}
	}
}

// TestOptions: asking what there is changes nothing, and opens nothing to pages elsewhere.
func TestOptions(t *testing.T) {
	s, _ := open(t, nil)
	for path, want := range map[string]string{"/api/v1/rules/rollback": "GET, HEAD, POST, OPTIONS", "/api/v1/stats": "GET, HEAD, OPTIONS"} {
		code, body, h := ask(t, "OPTIONS", s.URL()+path, "", map[string]string{"Origin": "https://other.example.com", "Access-Control-Request-Method": "POST"})
		if code != 204 || body != "" || h.Get("Allow") != want {
			t.Errorf("OPTIONS %s = %d %q, Allow %q, want 204 and %q", path, code, body, h.Get("Allow"), want)
		}
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("OPTIONS %s answers with %s, want nothing for other origins", path, name)
			}
		}
	}
	if code, _, _ := ask(t, "OPTIONS", s.URL()+"/nothing", "", nil); code != 404 {
		t.Errorf("OPTIONS /nothing = %d, want 404", code)
	}
	locked, _ := open(t, func(o *Options) { o.Token = "s3cret" })
	if code, _, _ := ask(t, "OPTIONS", locked.URL()+"/api/v1/rules/rollback", "", nil); code != 401 {
		t.Errorf("OPTIONS without the token = %d, want 401", code)
	}
}

func TestNotReadySaysWhy(t *testing.T) {
	s, _ := open(t, func(o *Options) { o.Ready = func() error { return errors.New("disconnected from NATS") } })
	if code, body, _ := ask(t, "GET", s.URL()+"/readyz", "", nil); code != 503 || !strings.Contains(body, "disconnected from NATS") {
		t.Errorf("/readyz = %d %q, want 503 with why", code, body)
	}
	if code, _, _ := ask(t, "GET", s.URL()+"/healthz", "", nil); code != 200 {
		t.Errorf("/healthz = %d, want 200 while the process lives", code)
	}
}

func TestTokenIsAskedFor(t *testing.T) {
	s, _ := open(t, func(o *Options) { o.Token = "s3cret" })
	for _, tt := range []struct {
		path, auth string
		want       int
	}{
		{"/api/v1/stats", "", 401}, {"/api/v1/stats", "Bearer wrong", 401}, {"/api/v1/stats", "Bearer s3cre", 401},
		{"/api/v1/stats", "Basic s3cret", 401}, {"/api/v1/stats", "s3cret", 401}, {"/api/v1/stats", "s3cret x", 401}, {"/api/v1/stats", "Bearer s3cret", 200}, {"/api/v1/stats", "bearer s3cret", 200},
		{"/metrics", "", 401}, {"/", "", 200}, {"/api/v1/session", "", 200}, {"/api/v1/openapi.yaml", "", 200}, {"/healthz", "", 200}, {"/readyz", "", 200},
	} {
		code, body, _ := ask(t, "GET", s.URL()+tt.path, "", map[string]string{"Authorization": tt.auth, "Host": "bellhop.example.com"})
		if code != tt.want {
			t.Errorf("GET %s with %q = %d %s, want %d", tt.path, tt.auth, code, body, tt.want)
		}
		if code == 401 && strings.Contains(body, "s3cret") {
			t.Errorf("the refusal holds the token: %s", body)
		}
	}
}

func TestHostMustBeLoopbackWithoutAToken(t *testing.T) {
	s, _ := open(t, nil)
	for host, want := range map[string]int{
		"127.0.0.1:8420": 200, "localhost": 200, "LOCALHOST:1": 200, "[::1]:8420": 200, "127.9.9.9": 200, "localhost.": 200,
		"evil.example.com": 403, "localhost.evil.com": 403, "10.0.0.1": 403, "127.0.0.1.evil.com:8420": 403,
	} {
		if code, _, _ := ask(t, "GET", s.URL()+"/api/v1/stats", "", map[string]string{"Host": host}); code != want {
			t.Errorf("GET with Host %s = %d, want %d", host, code, want)
		}
	}
}

func TestWritesNeedTheHeader(t *testing.T) {
	rules := &noRules{}
	s, _ := open(t, func(o *Options) { o.Rules = rules })
	for _, tt := range []struct {
		header, body string
		want         int
	}{
		{"", `{"version":"1"}`, 403}, {"0", `{"version":"1"}`, 403}, {"1", `{"version":"1"}`, 200}, {"1", `{}`, 400}, {"1", `{"x":1}`, 400},
		{"1", strings.Repeat(" ", 2<<20), 413}, {"1", `{"version":"1"} {}`, 400},
	} {
		code, _, h := ask(t, "POST", s.URL()+api.RollbackPath, tt.body, map[string]string{api.WriteHeader: tt.header})
		if code != tt.want {
			t.Errorf("POST with %q and %.20q = %d, want %d", tt.header, tt.body, code, tt.want)
		}
		if code >= 400 && h.Get("Content-Type") != api.ProblemType {
			t.Errorf("a refusal is %q, want %s", h.Get("Content-Type"), api.ProblemType)
		}
	}
	if len(rules.rolled) != 1 {
		t.Errorf("%d rollbacks, want the one that had the header", len(rules.rolled))
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"short", strings.Repeat("long-", 30)} {
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "bellhop.sock")
		// A file that a killed daemon left behind.
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s, o := open(t, func(o *Options) { o.Socket, o.Listen, o.Token = path, "", "token of the console" })
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v, want 0600", name, info.Mode(), err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return DialSocket(ctx, path)
		}}}
		resp, err := client.Get("http://anything/api/v1/stats")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var stats store.Stats
		if err := json.NewDecoder(resp.Body).Decode(&stats); err != nil || stats.Calls != 3 {
			t.Errorf("%s: stats over the socket = %+v, %v, want 3 calls without any token", name, stats, err)
		}
		resp.Body.Close()
		if _, err := Open(*o); err == nil || !strings.Contains(err.Error(), "another daemon answers") {
			t.Errorf("%s: a second daemon's Open = %v, want an error that says who is there", name, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the socket is still there after Close: %v", name, err)
		}
	}
}

// What is there is named with the methods that it takes, for any other.
func TestOtherMethods(t *testing.T) {
	s, _ := open(t, nil)
	for _, tt := range []struct{ method, path, allow string }{
		{"PUT", api.StatsPath, "GET, HEAD"}, {"DELETE", api.StatsPath, "GET, HEAD"}, {"GET", api.PausePath, "POST"},
		{"PUT", api.OperationsPath, "GET, HEAD, POST"}, {"PUT", "/api/v1/none", ""},
	} {
		status, want := http.StatusMethodNotAllowed, tt.allow
		if want == "" {
			status = http.StatusNotFound
		}
		got, text, header := ask(t, tt.method, s.URL()+tt.path, "", map[string]string{"Sec-Fetch-Site": "same-origin", "X-Bellhop": "1"})
		if got != status || header.Get("Allow") != want || header.Get("Content-Type") != api.ProblemType {
			t.Errorf("%s %s = %d, Allow %q, %s, want %d, %q", tt.method, tt.path, got, header.Get("Allow"), text, status, want)
		}
	}
}
