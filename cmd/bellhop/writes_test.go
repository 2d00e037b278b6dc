package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
)

// Whatever changes something is logged: what, and who asked for it. The description names all that there is.
func TestEveryWriteIsLogged(t *testing.T) {
	core, logs := observer.New(zapcore.InfoLevel)
	w := newLoggedWorks(t, zap.New(core), func(s *config.Settings) { s.Console.Token = "operator's" })
	w.answer(404)
	w.publish("course.completed", "e-1", ann)
	failed := w.list("?outcome=failed", 1)[0].DeliveryID
	w.answer(503)
	w.publish("course.completed", "e-2", ann)
	retried := w.list("?outcome=retrying", 1)[0].DeliveryID
	w.answer(200)

	cookie := ""
	ask := func(method, path, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, w.running.http.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(api.WriteHeader, "1")
		if cookie != "" {
			req.Header.Set("Cookie", cookie)
		} else if path != api.SessionPath {
			req.Header.Set("Authorization", "Bearer operator's")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range resp.Cookies() {
			cookie = c.Name + "=" + c.Value
		}
		return resp.StatusCode, string(text)
	}

	operation := ""
	known := map[string]bool{"POST " + api.TryPath: true} // it sends nothing
	for _, tt := range []struct {
		method, path, described, body string
		says                          []string // who, and what
	}{
		{"POST", api.DeliveriesPath + "/" + failed + "/retry", api.DeliveriesPath + "/{id}/retry", "", []string{"by", "operator with a token", failed, "run"}},
		{"POST", api.DeliveriesPath + "/" + retried + "/cancel", api.DeliveriesPath + "/{id}/cancel", "", []string{"by", "operator with a token", retried}},
		{"POST", api.OperationsPath, "", `{"action":"retry","filter":{"rule":["other"]},"confirm":true}`, []string{"by", "operator with a token", "retry", "other", "until"}},
		{"DELETE", api.OperationsPath + "/", api.OperationsPath + "/{id}", "", []string{"by", "operator with a token", "stopped"}},
		{"POST", api.PausePath, "", `{"endpoint":"https://crm.example.com"}`, []string{"by", "operator with a token", "https://crm.example.com:443", "true"}},
		{"POST", api.ResumePath, "", `{"endpoint":"https://crm.example.com"}`, []string{"by", "operator with a token", "https://crm.example.com:443", "false"}},
		{"POST", api.RollbackPath, "", `{"version":"1"}`, []string{"by", "operator with a token", "rolled back", "1"}},
		{"POST", api.RebuildPath, "", "", []string{"by", "operator with a token", "anew"}},
		{"POST", api.SessionPath, "", `{"token":"operator's"}`, []string{"by", "127.0.0.1", "operator", "signed in"}},
		{"DELETE", api.SessionPath, "", "", []string{"by", "127.0.0.1", "operator", "signed out"}},
	} {
		if tt.described == "" {
			tt.described = tt.path
		}
		known[tt.method+" "+tt.described] = true
		if tt.described == api.OperationsPath+"/{id}" {
			tt.path += operation
		}
		logs.TakeAll()
		status, text := ask(tt.method, tt.path, tt.body)
		if status >= 300 {
			t.Errorf("%s %s = %d %s", tt.method, tt.path, status, text)
		}
		if tt.path == api.OperationsPath {
			_, rest, _ := strings.Cut(text, `"id":"`)
			operation, _, _ = strings.Cut(rest, `"`)
		}
		var lines []string
		for _, e := range logs.All() {
			lines = append(lines, fmt.Sprint(e.LoggerName, " ", e.Message, " ", e.ContextMap()))
		}
		if !slices.ContainsFunc(lines, func(line string) bool {
			return !slices.ContainsFunc(tt.says, func(part string) bool { return !strings.Contains(line, part) })
		}) {
			t.Errorf("%s %s logs\n%s\nwant a line with all of %q", tt.method, tt.path, strings.Join(lines, "\n"), tt.says)
		}
		if all := strings.Join(lines, "\n"); strings.Contains(all, "operator's") || cookie != "" && strings.Contains(all, cookie) {
			t.Errorf("%s %s logs a token or a session:\n%s", tt.method, tt.path, all)
		}
	}
	for path, item := range readDescription(t).Paths {
		for method := range item {
			if one := strings.ToUpper(method) + " " + path; method != "get" && method != "parameters" && !known[one] {
				t.Errorf("%s changes something, and is not tried here", one)
			}
		}
	}
}
