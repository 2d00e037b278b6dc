package console

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"bellhop/cmd/bellhop/console/api"
)

// noLanes is a daemon that has called nobody.
type noLanes struct{}

func (noLanes) Lanes(context.Context) ([]api.Lane, error) { return []api.Lane{}, nil }
func (noLanes) Hold(_ context.Context, endpoint string, pause bool, _ string) (api.Lane, error) {
	return api.Lane{Endpoint: endpoint, Paused: pause}, nil
}

// get asks for a path and decodes the answer.
func get[T any](t *testing.T, s *Server, path string) T {
	t.Helper()
	var out T
	code, body, _ := ask(t, "GET", s.URL()+path, "", nil)
	if code != 200 {
		t.Fatalf("GET %s = %d %s, want 200", path, code, body)
	}
	if err := json.Unmarshal([]byte(body), &out); err != nil {
		t.Fatalf("GET %s = %s: %v", path, body, err)
	}
	return out
}

func TestCounts(t *testing.T) {
	s, _ := open(t, nil)
	for path, calls := range map[string]uint64{
		"/api/v1/series": 3, "/api/v1/series?from=1h": 3, "/api/v1/series?from=7d&step=hour": 3, "/api/v1/series?from=1h&by=rule&value=crm": 3,
		"/api/v1/series?by=rule&value=none": 0, "/api/v1/series?from=2h&to=1h": 0, "/api/v1/series?from=90d": 3,
		"/api/v1/series?by=webhook&value=crm/a": 3, "/api/v1/series?by=kind&value=status": 1,
	} {
		got := get[api.Series](t, s, path)
		if got.Sum.Calls != calls || len(got.Points) == 0 || got.Step == "" {
			t.Errorf("GET %s sums to %+v in %d points of a %s, want %d calls", path, got.Sum, len(got.Points), got.Step, calls)
		}
	}
	b := get[api.Breakdown](t, s, "/api/v1/breakdown?by=endpoint&from=1h")
	if len(b.Items) != 1 || b.Items[0].Value != "https://crm.example.com/x" || b.Items[0].Errors != 1 || b.Items[0].P50 == nil {
		t.Errorf("breakdown by endpoint = %+v, want one with 3 calls, an error and its median", b)
	}
	l := get[api.Latency](t, s, "/api/v1/latency?from=1h")
	if l.Count != 3 || l.Percentiles.P99 == nil || *l.Percentiles.P99 < 16 || *l.Percentiles.P99 > 24 {
		t.Errorf("latency = %+v, want 3 attempts of about 20 ms", l)
	}
	for path, why := range map[string]string{
		"/api/v1/series?from=yesterday": "no RFC 3339 time", "/api/v1/series?from=1h&to=2h": "is not before", "/api/v1/series?step=week": "none of minute",
		"/api/v1/series?from=700d&step=minute": "too many", "/api/v1/series?from=80h&to=79h&step=minute": "are kept for", "/api/v1/series?value=x": "value needs by",
		"/api/v1/series?by=rule": "needs a value", "/api/v1/breakdown": "by:", "/api/v1/breakdown?by=user": "by:",
		"/api/v1/breakdown?by=rule&limit=0": "limit:", "/api/v1/breakdown?by=rule&sort=x": "sort:", "/api/v1/latency?by=x": "by:",
	} {
		code, body, h := ask(t, "GET", s.URL()+path, "", nil)
		if code != 400 || !strings.Contains(body, why) || h.Get("Content-Type") != api.ProblemType {
			t.Errorf("GET %s = %d %s %s, want 400 with %q", path, code, h.Get("Content-Type"), body, why)
		}
	}
}

func TestParseAge(t *testing.T) {
	for text, want := range map[string]time.Duration{"15m": 15 * time.Minute, "7d": 168 * time.Hour, "2w": 336 * time.Hour, "1h30m": 90 * time.Minute} {
		if got, err := ParseAge(text); err != nil || got != want {
			t.Errorf("ParseAge(%s) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "7", "d", "-1h", "1.5d", "99999999d"} {
		if got, err := ParseAge(text); err == nil {
			t.Errorf("ParseAge(%q) = %v, want an error", text, got)
		}
	}
}
