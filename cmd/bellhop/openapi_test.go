package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
)

// description is the OpenAPI document as far as it is held against requests and answers. Since 3.1 its schemas are JSON Schemas
// (2020-12).
type description struct {
	OpenAPI string
	Paths   map[string]map[string]json.RawMessage
	schemas *jsonschema.Compiler
}

// described is one operation.
type described struct {
	OperationID string
	Summary     string
	Parameters  []struct{ Name, In string }
	RequestBody json.RawMessage
	Responses   map[string]struct {
		Ref     string `json:"$ref"`
		Content map[string]json.RawMessage
	}
}

const descriptionURL = "https://bellhop.invalid/openapi"

func readDescription(t *testing.T) *description {
	t.Helper()
	text, err := os.ReadFile("console/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatal(err)
	}
	if text, err = json.Marshal(tree); err != nil {
		t.Fatal(err)
	}
	d := &description{schemas: jsonschema.NewCompiler()}
	d.schemas.AssertFormat()
	if err := json.Unmarshal(text, d); err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.schemas.AddResource(descriptionURL, doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("the description is of OpenAPI %s, want 3.1", d.OpenAPI)
	}
	return d
}

// pointer escapes a JSON pointer's token (RFC 6901), for a URL.
func pointer(tokens ...string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteString("/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(token))
	}
	return b.String()
}

// check holds JSON against the schema at a pointer.
func (d *description) check(text []byte, at string) error {
	schema, err := d.schemas.Compile(descriptionURL + "#" + at)
	if err != nil {
		return err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// heldTo sends requests and holds both them and their answers against the description.
type heldTo struct {
	*works
	*description
	asked map[string]bool // METHOD path, as described
}

// ask sends a request, and holds its answer against the description; bad says that its body breaks that.
func (h *heldTo) ask(method, path, body string, want int, bad bool) string {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), method, h.running.http.URL()+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer operator's")
	if method != http.MethodGet {
		req.Header.Set(api.WriteHeader, "1")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	name := method + " " + path + " " + body
	if resp.StatusCode != want {
		h.t.Errorf("%s = %d %s, want %d", name, resp.StatusCode, text, want)
	}
	at := h.find(path)
	verb := strings.ToLower(method)
	var op described
	if err := json.Unmarshal(h.Paths[at][verb], &op); err != nil {
		h.t.Errorf("%s is not described: %v", name, err)
		return ""
	}
	h.asked[method+" "+at] = true
	_, query, _ := strings.Cut(path, "?")
	for part := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(part, "=")
		if query != "" && !h.takes(op, key) {
			h.t.Errorf("%s: the parameter %s is not described", name, key)
		}
	}
	if body != "" && strings.HasPrefix(body, "{") {
		base := []string{"paths", at, verb, "requestBody"}
		var ref struct {
			Ref string `json:"$ref"`
		}
		place := pointer(append(base, "content", "application/json", "schema")...)
		if json.Unmarshal(op.RequestBody, &ref) == nil && ref.Ref != "" {
			place = strings.TrimPrefix(ref.Ref, "#") + pointer("content", "application/json", "schema")
		}
		if err := h.check([]byte(body), place); (err != nil) != bad {
			h.t.Errorf("%s: its body breaks the description: %v, want %v", name, err, bad)
		}
	}
	status := strconv.Itoa(resp.StatusCode)
	answer, ok := op.Responses[status]
	if !ok {
		if answer, ok = op.Responses["default"]; !ok {
			h.t.Errorf("%s: the status %s is not described", name, status)
			return string(text)
		}
		status = "default"
	}
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	place := pointer("paths", at, verb, "responses", status, "content", media, "schema")
	switch {
	case answer.Ref != "":
		if media != api.ProblemType {
			h.t.Errorf("%s is refused with %s, want %s", name, media, api.ProblemType)
		}
		place = strings.TrimPrefix(answer.Ref, "#") + pointer("content", media, "schema")
	case len(text) > 0 && answer.Content[media] == nil:
		h.t.Errorf("%s answers %s, which is not described", name, media)
		return string(text)
	}
	if strings.HasSuffix(media, "json") {
		if err := h.check(text, place); err != nil {
			h.t.Errorf("%s answers what is not described:\n    %.600s\n    %v", name, text, err)
		}
	}
	return string(text)
}

// takes tells whether an operation has a query parameter.
func (h *heldTo) takes(op described, name string) bool {
	var whole struct {
		Parameters []struct {
			Name string
			Ref  string `json:"$ref"`
		}
	}
	for _, item := range h.Paths {
		for _, text := range item {
			var other described
			if json.Unmarshal(text, &other) == nil && other.OperationID == op.OperationID && op.OperationID != "" {
				_ = json.Unmarshal(text, &whole)
			}
		}
	}
	return slices.ContainsFunc(whole.Parameters, func(p struct {
		Name string
		Ref  string `json:"$ref"`
	}) bool {
		return p.Name == name || strings.EqualFold(strings.TrimPrefix(p.Ref, "#/components/parameters/"), name)
	})
}

// find gives the described path of a request: the one that fits with the fewest parameters.
func (h *heldTo) find(path string) string {
	path, _, _ = strings.Cut(path, "?")
	best, least := "", 100
	for one := range h.Paths {
		a, b := strings.Split(one, "/"), strings.Split(path, "/")
		if len(a) != len(b) {
			continue
		}
		fits, open := true, 0
		for i := range a {
			if strings.HasPrefix(a[i], "{") {
				open++
			} else if a[i] != b[i] {
				fits = false
			}
		}
		if fits && open < least {
			best, least = one, open
		}
	}
	return best
}

// Each operation is asked on a daemon with traffic, in good and bad ways, and its answers are as described.
func TestAnswersAreAsDescribed(t *testing.T) {
	d := readDescription(t)
	w := newWorks(t, func(s *config.Settings) { s.Console.Token, s.Console.WidgetToken = "operator's", "widget's" })
	h := &heldTo{works: w, description: d, asked: map[string]bool{}}
	w.publish("course.completed", "e-1", ann)
	w.publish("course.broken", "e-2", "no JSON")
	w.list("", 2)
	w.answer(404)
	for i := range 3 {
		w.publish("course.enrolled", fmt.Sprint("failed-", i), ann)
	}
	failed := w.list("?outcome=failed", 3)
	w.answer(503)
	for i := range 3 {
		w.publish("module.completed", fmt.Sprint("retried-", i), `{"module":{"id":5}}`)
	}
	retrying := w.list("?outcome=retrying", 3)
	none := strings.Repeat("0", 32)

	for _, tt := range []struct {
		method, path, body string
		want               int
		bad                bool
	}{
		{"GET", "/healthz", "", 200, false}, {"GET", "/readyz", "", 200, false}, {"GET", "/metrics", "", 200, false}, {"GET", "/badge.svg", "", 200, false},
		{"GET", api.DescriptionPath, "", 200, false},
		{"GET", api.SessionPath, "", 200, false}, {"POST", api.SessionPath, `{"token":"operator's"}`, 200, false},
		{"POST", api.SessionPath, `{"token":"x"}`, 401, false}, {"POST", api.SessionPath, `{}`, 401, true}, {"DELETE", api.SessionPath, "", 204, false},
		{"GET", api.StatsPath, "", 200, false},
		{"GET", api.SeriesPath, "", 200, false}, {"GET", api.SeriesPath + "?from=1h&step=minute&by=rule&value=crm", "", 200, false},
		{"GET", api.SeriesPath + "?step=week", "", 400, false}, {"GET", api.SeriesPath + "?from=tomorrow", "", 400, false},
		{"GET", api.BreakdownPath + "?by=endpoint", "", 200, false}, {"GET", api.BreakdownPath + "?by=kind&sort=errors&limit=2", "", 200, false},
		{"GET", api.BreakdownPath, "", 400, false}, {"GET", api.LatencyPath, "", 200, false}, {"GET", api.LatencyPath + "?from=1h&by=type&value=none", "", 200, false},
		{"GET", api.DeliveriesPath, "", 200, false}, {"GET", api.DeliveriesPath + "?outcome=errors&rule=crm&limit=1", "", 200, false},
		{"GET", api.DeliveriesPath + "?outcome=rejected", "", 200, false}, {"GET", api.DeliveriesPath + "?outcome=lost", "", 400, false},
		{"GET", api.DeliveriesPath + "?limit=501", "", 400, false},
		{"GET", api.DeliveriesPath + "/" + retrying[0].DeliveryID, "", 200, false}, {"GET", api.DeliveriesPath + "/" + failed[0].DeliveryID, "", 200, false},
		{"GET", api.DeliveriesPath + "/" + none, "", 404, false},
		{"POST", api.DeliveriesPath + "/" + failed[0].DeliveryID + "/retry", "", 202, false}, {"POST", api.DeliveriesPath + "/" + none + "/retry", "", 404, false},
		{"POST", api.DeliveriesPath + "/" + retrying[0].DeliveryID + "/retry", "", 409, false},
		{"GET", api.PendingPath, "", 200, false}, {"GET", api.PendingPath + "?state=scheduled&rule=other&limit=1", "", 200, false},
		{"GET", api.PendingPath + "?state=lost", "", 400, false}, {"GET", api.PendingPath + "?cursor=zzz", "", 400, false},
		{"POST", api.DeliveriesPath + "/" + retrying[0].DeliveryID + "/cancel", "", 200, false},
		{"POST", api.DeliveriesPath + "/" + retrying[0].DeliveryID + "/cancel", "", 409, false},
		{"POST", api.OperationsPath, `{"action":"retry","filter":{"rule":["crm"]}}`, 200, false},
		{"POST", api.OperationsPath, `{"action":"lose","filter":{}}`, 400, true}, {"POST", api.OperationsPath, `{"action":"retry","filter":{"user":"x"}}`, 400, true},
		{"POST", api.OperationsPath, `{"action":"cancel","filter":{"rule":["other"]},"confirm":true}`, 202, false},
		{"GET", api.OperationsPath, "", 200, false}, {"GET", api.OperationsPath + "/none", "", 404, false},
		{"GET", api.RulesPath, "", 200, false}, {"GET", api.RulesPath + "/crm", "", 200, false}, {"GET", api.RulesPath + "/none", "", 404, false},
		{"GET", api.VersionsPath, "", 200, false}, {"GET", api.VersionsPath + "/1", "", 200, false}, {"GET", api.VersionsPath + "/99", "", 404, false},
		{"GET", api.DiffPath, "", 200, false}, {"GET", api.DiffPath + "?from=1&to=1", "", 200, false}, {"GET", api.DiffPath + "?to=99", "", 404, false},
		{"POST", api.RollbackPath, `{"version":"1"}`, 200, false}, {"POST", api.RollbackPath, `{"version":"99"}`, 404, false},
		{"POST", api.RollbackPath, `{}`, 400, true},
		{"POST", api.TryPath, `{"seq":1}`, 200, false}, {"POST", api.TryPath, `{"type":"course.joined","event":{"user":{}}}`, 200, false},
		{"POST", api.TryPath, `{"type":"no.rule","event":{}}`, 200, false}, {"POST", api.TryPath, `{"seq":2}`, 400, false}, {"POST", api.TryPath, `{"event":[]}`, 400, true},
		{"GET", api.EventsPath, "", 200, false}, {"GET", api.EventsPath + "?type=course.broken&limit=1", "", 200, false}, {"GET", api.EventsPath + "?limit=0", "", 400, false},
		{"GET", api.EventsPath + "/1", "", 200, false}, {"GET", api.EventsPath + "/2", "", 200, false}, {"GET", api.EventsPath + "/99", "", 404, false},
		{"GET", api.EventTypesPath, "", 200, false},
		{"GET", api.LanesPath, "", 200, false}, {"POST", api.PausePath, `{"endpoint":"https://crm.example.com"}`, 200, false},
		{"POST", api.ResumePath, `{"endpoint":"https://crm.example.com"}`, 200, false}, {"POST", api.PausePath, `{"endpoint":""}`, 400, true},
		{"GET", api.StatusPath, "", 200, false}, {"GET", api.DaemonsPath, "", 200, false}, {"POST", api.RebuildPath, "", 202, false},
	} {
		h.ask(tt.method, tt.path, tt.body, tt.want, tt.bad)
	}
	op := h.operation()
	h.ask("GET", api.OperationsPath+"/"+op, "", 200, false)
	h.ask("DELETE", api.OperationsPath+"/"+op, "", 200, false)

	req, err := http.NewRequestWithContext(t.Context(), "GET", w.running.http.URL()+api.StreamPath+"?outcome=failed", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer operator's")
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the stream is %v, %v", resp, err)
	}
	resp.Body.Close()
	h.asked["GET "+api.StreamPath] = true
	for path, item := range d.Paths {
		for _, method := range slices.Sorted(maps.Keys(item)) {
			if one := strings.ToUpper(method) + " " + path; method != "parameters" && !h.asked[one] {
				t.Errorf("%s is described and was not asked", one)
			}
		}
	}
}

// operation gives the id of the one bulk operation.
func (h *heldTo) operation() string {
	h.t.Helper()
	var list api.OperationList
	h.until("the operation has ended", func() bool {
		h.get(api.OperationsPath, &list)
		return len(list.Items) == 1 && list.Items[0].Ended != nil
	})
	return list.Items[0].ID
}
