package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

// validator compiles a schema as a program would that reads what bellhop schema prints.
func validator(t *testing.T, s map[string]any) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	v, err := c.Compile("schema.json")
	if err != nil {
		t.Fatalf("it is no valid schema: %v", err)
	}
	return v
}

// instance is a YAML document as a JSON Schema's validator sees it, merge keys written out.
func instance(t *testing.T, n *node) any {
	switch n.kind {
	case mappingNode:
		out := map[string]any{}
		s := shaper{name: "x"}
		for _, p := range s.entries(n, "") {
			out[p.key.text] = instance(t, p.value)
		}
		return out
	case listNode:
		out := []any{}
		for _, item := range n.items {
			out = append(out, instance(t, item))
		}
		return out
	}
	switch n.scalarType() {
	case nullType:
		return nil
	case boolType:
		return strings.EqualFold(n.text, "true")
	case numberType:
		text := strings.TrimPrefix(n.text, "+")
		if r, ok := new(big.Rat).SetString(text); ok && r.IsInt() && len(text) < 400 {
			return json.Number(r.Num().String())
		}
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
		return json.Number("0.5") // infinite, or spelled as JSON cannot
	}
	return n.text
}

// refuses gives the schema's complaint of the only document of a YAML text, "" for none.
func refuses(t *testing.T, v *jsonschema.Schema, text string) string {
	t.Helper()
	docs, err := parseYAML(text)
	if err != nil || len(docs) > 1 {
		t.Fatalf("%.200s is not one YAML document: %v", text, err)
	}
	var doc any
	if len(docs) == 1 {
		doc = instance(t, docs[0])
	}
	if err := v.Validate(doc); err != nil {
		return err.Error()
	}
	return ""
}

// mistakes gives the errors that the loader and the compiler find in a rule file.
func mistakes(text string) string {
	defs, shape := ParseRules([]rule.SourceFile{{Path: "a.yaml", Text: text}})
	_, meaning := rule.Compile(defs, rule.Options{Defaults: rule.Defaults{Timeout: time.Second, Encoding: "normalize"}})
	var errs []string
	for _, p := range MergeProblems(defs.Files, shape, meaning) {
		if p.Severity == rule.Error {
			errs = append(errs, p.Path+": "+p.Text)
		}
	}
	return strings.Join(errs, "\n")
}

// yamlBlocks are the YAML blocks of a page of the documentation.
func yamlBlocks(t *testing.T, page string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

func TestRulesSchemaTakesWhatIsRight(t *testing.T) {
	v := validator(t, RulesSchema())
	good, err := os.ReadFile("../testdata/rules/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(good), "", "rules:\nfilters:\n"}
	for _, block := range yamlBlocks(t, "../docs/rules.md") {
		if strings.HasPrefix(block, "rules:") || strings.HasPrefix(block, "filters:") {
			texts = append(texts, block)
		}
	}
	if len(texts) < 4 {
		t.Errorf("the documentation has %d rule files, want one or more", len(texts)-3)
	}
	// Everything odd that is right all the same.
	texts = append(texts, `
filters:
  1: {a: {in: [1, x, true], not_in: [2]}, any: [2, {not: "1"}], event.time: {gt: 2026-01-31T08:00:00z}}
  "2": {b: 1.5, c: true, d: {contains: x}, e: {contains: [x, 1]}, f: {exists: false, gt: 1, lte: 1e400}, g: {matches: '^\d+$'}}
rules:
- {name: 1, on: [12, "*", "a:b.>"], description: 12, webhooks: [{endpoint: "${BASE}"}]}
- name: x
  on: kurs.beendet_ü
  description:
  filter: "1"
  webhooks:
  - {endpoint: "https://${HOST}/a b%zz?x", parameters: "a=1&b", when: true, retries: 0, encoding: literal, timeout: 1m30s}
  - {endpoint: "HTTP://x.example.com", parameters: [{name: 1, value: ~}, {value: 1.50, name: a}], headers: {X-a: 1.50, webhook_id: "é"}}
  - {endpoint: "https://x.example.com/a@b", parameters: {a: , b: ~, 3: true}, headers: , secret: ["${A}", whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA], timeout: .5s}
  - {endpoint: "https://x.example.com/`+strings.Repeat("é", 256-22)+`", parameters: 12, timeout: 1h0.5m, when: "a\n> 1"}
`)
	for _, text := range texts {
		if wrong := mistakes(text); wrong != "" && !strings.Contains(wrong, "10m") {
			t.Errorf("the loader refuses\n%s\n%s", text, wrong)
		}
		if complaint := refuses(t, v, text); complaint != "" {
			t.Errorf("the schema refuses\n%s\n%s", text, complaint)
		}
	}
}

func TestRulesSchemaRefusesWhatIsWrong(t *testing.T) {
	v := validator(t, RulesSchema())
	hook := func(more string) string {
		return "rules: [{name: r, on: course.completed, webhooks: [{endpoint: 'https://x.example.com/'" + more + "}]}]"
	}
	to := func(endpoint string) string {
		return "rules: [{name: r, on: course.completed, webhooks: [{endpoint: " + endpoint + "}]}]"
	}
	texts := []string{
		"a", "[]", "rules: {}", "rules: x", "rule: []", "filters: []", "filters: {a: }", "filters: {a: []}", "filters: {a: {}}", "filters: {A: {x: 1}}",
		"filters: {a: {x: }}", "filters: {a: {x: [1]}}", "filters: {a: {x: {}}}", "filters: {a: {x: {equal: 1}}}", "filters: {a: {x..y: 1}}",
		"filters: {a: {x: {in: 1}}}", "filters: {a: {x: {in: []}}}", "filters: {a: {x: {in: [~]}}}", "filters: {a: {x: {equals: [1]}}}",
		"filters: {a: {x: {gt: x}}}", "filters: {a: {x: {gt: true}}}", "filters: {a: {x: {gt: 2026-01-31}}}", "filters: {a: {x: {exists: 'true'}}}",
		"filters: {a: {x: {starts_with: 4}}}", "filters: {a: {x: {matches: '('}}}", "filters: {a: {x: {contains: {}}}}", "filters: {a: {all: []}}",
		"filters: {a: {any: {x: 1}}}", "filters: {a: {not: []}}", "filters: {a: {not: }}", "filters: {a: {x: {equals: }}}",
		"rules: [x]", "rules: [{}]", "rules: [{name: r, on: a.b}]", "rules: [{name: r, on: a.b, webhooks: []}]", "rules: [{name: r, on: a.b, webhooks: {}}]",
		"rules: [{name: r, webhooks: [{endpoint: 'https://x.example.com/'}]}]", "rules: [{on: a.b, webhooks: [{endpoint: 'https://x.example.com/'}]}]",
		strings.Replace(hook(""), "name: r", "name: R", 1), strings.Replace(hook(""), "name: r", "name: "+strings.Repeat("r", 65), 1),
		strings.Replace(hook(""), "name: r", "name: r, colour: 1", 1), strings.Replace(hook(""), "name: r", "name: r, enabled: yes", 1),
		strings.Replace(hook(""), "name: r", "name: r, include_archived: 1", 1), strings.Replace(hook(""), "name: r", "name: r, filter: ", 1),
		strings.Replace(hook(""), "course.completed", "[]", 1), strings.Replace(hook(""), "course.completed", "course*", 1),
		strings.Replace(hook(""), "course.completed", "a..b", 1), strings.Replace(hook(""), "course.completed", "'>.a'", 1),
		strings.Replace(hook(""), "course.completed", "{a: b}", 1), strings.Replace(hook(""), "course.completed", "", 1),
		"rules: [{name: r, on: a.b, webhooks: [{}]}]", to(""), to("[]"), to("ftp://x"), to("x.example.com"), to("'https://u:p@x.example.com/'"),
		to("'https://x.example.com/#a'"), to(`"https://x.example.com/\n"`), to("https:///x"), to("https://x.example.com/" + strings.Repeat("é", 257-22)),
		hook(", colour: 1"), hook(", name: A"), hook(", parameters: [a]"), hook(", parameters: [{name: a}]"), hook(", parameters: [{name: a, value: 1, x: 1}]"),
		hook(", parameters: {a: []}"), hook(", parameters: {a: {b: 1}}"), hook(", filter: []"), hook(", when: ''"), hook(", when: 1"), hook(", when: []"),
		hook(", timeout: 10"), hook(", timeout: 0s"), hook(", timeout: x"), hook(", timeout: 1d"), hook(", retries: -1"), hook(", retries: 21"), hook(", retries: '3'"),
		hook(", retries: 1.5"), hook(", encoding: none"), hook(", headers: [a]"), hook(", headers: {Content-type: x}"), hook(", headers: {WEBHOOK-ID: x}"),
		hook(", headers: {host: x}"), hook(", headers: {a b: x}"), hook(`, headers: {a: "x\ny"}`), hook(", headers: {a: }"), hook(", headers: {a: []}"),
		hook(", secret: "), hook(", secret: []"), hook(", secret: abc"), hook(", secret: {a: b}"), hook(", secret: ['whsec_']"),
	}
	for _, text := range texts {
		if mistakes(text) == "" {
			t.Errorf("the loader takes\n%s\nso it proves nothing", text)
		}
		if refuses(t, v, text) == "" {
			t.Errorf("the schema takes\n%s\nthe loader does not:\n%s", text, mistakes(text))
		}
	}
}

// TestRulesSchemaAndTheBadFiles holds the schema against the files that the loader's own tests are held against.
func TestRulesSchemaAndTheBadFiles(t *testing.T) {
	v := validator(t, RulesSchema())
	// No YAML, or keys and documents that a JSON value cannot have.
	beyond := []string{"duplicate-key.yaml", "documents.yaml", "complex-key.yaml", "merge-text.yaml", "duplicate-parameter.yaml"}
	files, err := filepath.Glob("../testdata/rules/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no bad files: %v", err)
	}
	judged := 0
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseYAML(string(text)); err != nil || slices.Contains(beyond, filepath.Base(path)) {
			continue
		}
		judged++
		if refuses(t, v, string(text)) == "" {
			t.Errorf("the schema takes %s", path)
		}
	}
	if judged < 15 {
		t.Errorf("%d bad files were judged, want most of the %d", judged, len(files))
	}
}

func TestSchemasDescribeEveryKey(t *testing.T) {
	for _, keys := range [][]string{fileKeys, ruleKeys, webhookKeys} {
		for _, key := range keys {
			if keyDocs[key] == "" {
				t.Errorf("%s has no description", key)
			}
		}
	}
	for _, s := range table {
		if s.schema == nil {
			t.Errorf("%s has no schema", s.Path)
		}
	}
}

// settingsFile writes one key's value as a configuration file.
func settingsFile(path, value string) string {
	out := value
	parts := strings.Split(path, ".")
	for i := len(parts) - 1; i >= 0; i-- {
		out = fmt.Sprintf("{%s: %s}", parts[i], out)
	}
	return out
}

// TestSettingsSchemaAgreesWithTheLoader tries many values on every key.
func TestSettingsSchemaAgreesWithTheLoader(t *testing.T) {
	v := validator(t, SettingsSchema())
	values := []string{
		"~", `""`, "x", "a b", "0", "1", "5", "6", "20", "21", "100", "101", "65536", "65537", "-1", "1.5", "'8'", "0x10", "true", "false", "True", "'true'", "yes",
		"10s", "0s", "-5s", "7d", "1.5h", "10", "5 s", "1MiB", "8MiB", "9MiB", "512 kb", "1048576", "interval", "always", "new", "all", "info", "debug", "json",
		"normalize", "literal", "[]", "[a, b]", "[~]", "[[]]", "{a: b}", "127.0.0.1:4222", "':80'", "'127.0.0.1'", "nats://h:4222", "http://proxy:3128", "ftp://x",
		"[timeout, 408, 5xx]", "[200]", "[foo]", "timeout", "10.0.0.0/8", "[10.0.0.0/8, '::1']", "[x/8]", "[{endpoint: 'https://a.b', rate: 50/s}]",
		"[{endpoint: 'https://a.b'}]", "[{rate: 1/s}]", "[{endpoint: 'https://a.b', concurrency: 0}]", "[{endpoint: 'https://a.b', rate: 5}]", "a.b", "a..b", "'$x'", "a.*",
		`"a\nb"`, strings.Repeat("x", 256),
	}
	// What only the loader tells: what is in a text that its form does not show.
	lenient := map[string][]string{
		"text":     {"*"},
		"url":      {"*"},
		"address":  {"127.0.0.1:99999"},
		"duration": {"-5s"},
		"list":     {"*"},
		"size":     {"9MiB", "0x10"}, // to JSON 0x10 is 16
		"number":   {"0x10"},
		"integer":  {"'8'", "0x10"},
	}
	path := filepath.Join(t.TempDir(), "bellhop.yaml")
	for _, s := range table {
		for _, value := range values {
			text := settingsFile(s.Path, value)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := Load(LoadOptions{File: path, Environ: []string{}})
			if err != nil && strings.Contains(err.Error(), "the delay before the last retry") {
				continue // of several keys together
			}
			alone := err == nil || !strings.Contains(err.Error(), ": "+s.Path+":") && !strings.Contains(err.Error(), ": "+s.Path+"[")
			complaint := refuses(t, v, text)
			switch {
			case alone && complaint != "":
				t.Errorf("the schema refuses %s, which the loader takes: %s", text, complaint)
			case !alone && complaint == "" && !slices.Contains(lenient[s.Type], value) && !slices.Contains(lenient[s.Type], "*"):
				t.Errorf("the schema takes %s, which the loader does not: %v", text, err)
			}
		}
	}
	for _, text := range []string{"data_dirr: x", "nats: {urll: x}", "[]", "nats: []", "delivery.timeout: 5s"} {
		if refuses(t, v, text) == "" {
			t.Errorf("the schema takes %s", text)
		}
	}
	full, err := os.ReadFile("../testdata/config/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	samples := []string{string(full), "", "nats:\n"}
	samples = append(samples, yamlBlocks(t, "../docs/configuration.md")...)
	for _, text := range samples {
		if complaint := refuses(t, v, text); complaint != "" {
			t.Errorf("the schema refuses\n%s\n%s", text, complaint)
		}
	}
	broken, err := os.ReadFile("../testdata/config/broken.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if refuses(t, v, string(broken)) == "" {
		t.Error("the schema takes testdata/config/broken.yaml")
	}
}

func TestEventSchemaAgreesWithTheDecoder(t *testing.T) {
	v := validator(t, EventSchema())
	for _, text := range []string{
		`{}`, `[]`, `null`, `1`, `"x"`, `{"user":{"first_name":"Ann","archived":true},"score":12.50}`, `{"user":"Ann"}`, `{"id":5}`,
		`{"specversion":"1.0","id":"1","data":{}}`, `{"specversion":"1.0","id":"1","source":"/lms","type":"course.completed","time":"bad","data":{"user":{}}}`,
		`{"specversion":null,"id":"1","data":{}}`, `{"specversion":2,"id":"1","data":{},"time":5,"source":7}`,
		`{"specversion":"1.0","data":{}}`, `{"specversion":"1.0","id":"","data":{}}`, `{"specversion":"1.0","id":7,"data":{}}`,
		`{"specversion":"1.0","id":"1"}`, `{"specversion":"1.0","id":"1","data":[]}`, `{"specversion":"1.0","id":"1","data":null}`, `{"specversion":"1.0","id":"1","data":"{}"}`,
		`{"specversion":"1.0","id":"1","data_base64":"e30="}`, `{"specversion":"1.0","id":"1","data_base64":5}`, `{"specversion":"1.0","id":"1","data":null,"data_base64":"e30="}`,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		_, unreadable := event.Decode(event.Message{Stream: "EVENTS", Seq: 1, Type: "a.b", Data: []byte(text)}, 0)
		if refused := v.Validate(doc); (refused == nil) != (unreadable == nil) {
			t.Errorf("%s: the schema says %v, the decoder %v", text, refused, unreadable)
		}
	}
	text, err := json.Marshal(EventSchema())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"course_code", "@organization", "archived", "course.completed", "nick_name"} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the schema of events says nothing of %s", want)
		}
	}
}
