package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

var update = flag.Bool("update", false, "write the golden files anew")

// parse reads one text as rules.yaml.
func parse(text string) (*rule.Definitions, []rule.Problem) {
	return ParseRules([]rule.SourceFile{{Path: "rules.yaml", Text: text}})
}

// lines gives problems as rules check prints them.
func lines(problems []rule.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		path := p.Path
		if path != "" {
			path += ": "
		}
		fmt.Fprintf(&b, "%s: %s%s\n", p.Pos, path, p.Text)
	}
	return b.String()
}

func TestParseRulesTellsEveryMistake(t *testing.T) {
	files, err := filepath.Glob("../testdata/rules/bad/*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("found %d bad rule files (%v), want at least 25", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := ParseRules([]rule.SourceFile{{Path: name, Text: string(text)}})
			got := lines(problems)
			golden := strings.TrimSuffix(path, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("problems of %s are\n%swant\n%s", name, got, want)
			}
			if got == "" {
				t.Errorf("%s has no problems, want at least one", name)
			}
		})
	}
}

func TestParseRulesReadsEveryKey(t *testing.T) {
	text, err := os.ReadFile("../testdata/rules/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defs, problems := parse(string(text))
	if len(problems) > 0 {
		t.Fatalf("problems of a good file:\n%s", lines(problems))
	}
	if len(defs.Rules) != 1 || len(defs.Filters) != 1 || len(defs.Rules[0].Webhooks) != 1 {
		t.Fatalf("%d rules and %d filters, want one of each", len(defs.Rules), len(defs.Filters))
	}
	r, w := defs.Rules[0], defs.Rules[0].Webhooks[0]
	at := func(line, column int) rule.Pos { return rule.Pos{File: "rules.yaml", Line: line, Column: column} }
	for _, c := range []struct {
		what string
		got  rule.Scalar
		want rule.Scalar
	}{
		{"the rule's name", r.Name, rule.Scalar{Text: "crm-completions", Type: rule.TextScalar, Pos: at(7, 11), Path: "rules[0].name"}},
		{"the second type", r.On[1], rule.Scalar{Text: "module.*", Type: rule.TextScalar, Pos: at(9, 28), Path: "rules[0].on[1]"}},
		{"enabled", r.Enabled, rule.Scalar{Text: "true", Type: rule.BoolScalar, Pos: at(10, 14), Path: "rules[0].enabled"}},
		{"the filter's name", *r.Filter.Name, rule.Scalar{Text: "staff", Type: rule.TextScalar, Pos: at(12, 13), Path: "rules[0].filter"}},
		{"the endpoint", w.Endpoint, rule.Scalar{Text: "https://crm.example.com/hooks/course done", Type: rule.TextScalar,
			Pos: at(15, 19), Path: "rules[0].webhooks[0].endpoint"}},
		{"a parameter's value", w.Parameters[0].Value, rule.Scalar{Text: "@first_name @last_name", Type: rule.TextScalar,
			Pos: at(17, 20), Path: "rules[0].webhooks[0].parameters.student"}},
		{"when", w.When, rule.Scalar{Text: `score >= 80 && "vip" in user.tags`, Type: rule.TextScalar,
			Pos: at(20, 15), Path: "rules[0].webhooks[0].when"}},
		{"retries", w.Retries, rule.Scalar{Text: "10", Type: rule.NumberScalar, Pos: at(22, 18), Path: "rules[0].webhooks[0].retries"}},
		{"a header's value", w.Headers[0].Value, rule.Scalar{Text: "Bearer ${CRM_TOKEN}", Type: rule.TextScalar,
			Pos: at(24, 34), Path: "rules[0].webhooks[0].headers.Authorization"}},
		{"the secret", w.Secrets[0], rule.Scalar{Text: "${CRM_SECRET}", Type: rule.TextScalar,
			Pos: at(25, 17), Path: "rules[0].webhooks[0].secret"}},
		{"a condition's value", defs.Filters[0].Filter.Entries[0].Any[0].Entries[0].Conditions[0].Value,
			rule.Scalar{Text: "instructor", Type: rule.TextScalar, Pos: at(4, 32), Path: "filters.staff.any[0].user.roles.contains"}},
		{"a bare condition's operator", defs.Filters[0].Filter.Entries[0].Any[1].Entries[0].Conditions[0].Op,
			rule.Scalar{Text: "equals", Type: rule.TextScalar, Pos: at(5, 33), Path: "filters.staff.any[1].user.organization.name"}},
		{"an element of a list", w.Filter.Entries[0].Conditions[0].Values[1],
			rule.Scalar{Text: "US", Type: rule.TextScalar, Pos: at(19, 42), Path: "rules[0].webhooks[0].filter.user.country.in[1]"}},
	} {
		if c.got != c.want {
			t.Errorf("%s is %+v, want %+v", c.what, c.got, c.want)
		}
	}
	if r.Pos != at(7, 5) || w.Pos != at(14, 9) || r.OnPos != at(9, 9) {
		t.Errorf("rule at %s, webhook at %s, on at %s, want 7:5, 14:9 and 9:9", r.Pos, w.Pos, r.OnPos)
	}
	if len(defs.Files) != 1 || defs.Files[0].Text != string(text) {
		t.Errorf("the definitions do not hold the file's text")
	}
}

func TestParseRulesTakesScalarsAsWritten(t *testing.T) {
	for _, c := range []struct {
		yaml, want string
		typ        rule.ScalarType
	}{
		{"12.50", "12.50", rule.NumberScalar},
		{"007", "007", rule.NumberScalar},
		{"1e3", "1e3", rule.NumberScalar},
		{"0x10", "0x10", rule.NumberScalar},
		{"0o17", "0o17", rule.NumberScalar},
		{"-.5", "-.5", rule.NumberScalar},
		{"9007199254740993", "9007199254740993", rule.NumberScalar},
		{".inf", ".inf", rule.NumberScalar},
		{"0b11", "0b11", rule.TextScalar},
		{"1_000", "1_000", rule.TextScalar},
		{"1.2.3", "1.2.3", rule.TextScalar},
		{"yes", "yes", rule.TextScalar},
		{"off", "off", rule.TextScalar},
		{"True", "True", rule.BoolScalar},
		{"false", "false", rule.BoolScalar},
		{"null", "null", rule.NullScalar},
		{"~", "~", rule.NullScalar},
		{"", "", rule.NullScalar},
		{`""`, "", rule.TextScalar},
		{`"12"`, "12", rule.TextScalar},
		{`'it''s'`, "it's", rule.TextScalar},
		{`"a\tb\u00e9\n"`, "a\tbé\n", rule.TextScalar},
		{"plain text  # comment", "plain text", rule.TextScalar},
		{"a\tb", "a\tb", rule.TextScalar},
		{"https://example.com/a#b", "https://example.com/a#b", rule.TextScalar},
		{"2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", rule.TextScalar},
		{"!!str 12", "12", rule.TextScalar},
		{"|\n        a\n         b\n", "a\n b\n", rule.TextScalar},
		{"|-\n        a\n        b\n", "a\nb", rule.TextScalar},
		{">-\n        a\n        b\n\n        c\n", "a b\nc", rule.TextScalar},
		{"a\n        b", "a b", rule.TextScalar},
		{"größe ✓", "größe ✓", rule.TextScalar},
	} {
		defs, problems := parse("rules:\n- name: a\n  on: x\n  webhooks:\n  - endpoint: e\n    parameters:\n      v: " + c.yaml + "\n      w: last\n")
		if len(problems) > 0 {
			t.Errorf("value %q has problems: %s", c.yaml, lines(problems))
			continue
		}
		p := defs.Rules[0].Webhooks[0].Parameters
		if len(p) != 2 || p[0].Value.Text != c.want || p[0].Value.Type != c.typ {
			t.Errorf("value %q reads as %+v, want text %q of type %d", c.yaml, p[0].Value, c.want, c.typ)
		}
	}
}

func TestParseRulesReadsEveryFormOfParameters(t *testing.T) {
	type pair = [2]string
	for _, c := range []struct {
		yaml string
		want []pair
	}{
		{"{a: 1, b: x}", []pair{{"a", "1"}, {"b", "x"}}},
		{"{}", nil},
		{"", nil},
		{`""`, nil},
		{"[]", nil},
		{"[{name: a, value: 1}, {value: 2, name: a}]", []pair{{"a", "1"}, {"a", "2"}}},
		{"[{name: a, value: }]", []pair{{"a", ""}}},
		{"a=@x&b=@y", []pair{{"a", "@x"}, {"b", "@y"}}},
		{"a=b=c&d", []pair{{"a", "b=c"}, {"d", ""}}},
		{"a=%20+x&a=", []pair{{"a", "%20+x"}, {"a", ""}}},
		{`"a=1&&b=2&"`, []pair{{"a", "1"}, {"b", "2"}}},
		{`"=x&é=ü"`, []pair{{"", "x"}, {"é", "ü"}}},
		{`" a = b "`, []pair{{" a ", " b "}}},
	} {
		defs, problems := parse("rules:\n- name: a\n  on: x\n  webhooks:\n  - endpoint: e\n    parameters: " + c.yaml + "\n")
		if len(problems) > 0 {
			t.Errorf("parameters %s have problems: %s", c.yaml, lines(problems))
			continue
		}
		var got []pair
		for _, p := range defs.Rules[0].Webhooks[0].Parameters {
			got = append(got, pair{p.Name.Text, p.Value.Text})
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("parameters %s read as %q, want %q", c.yaml, got, c.want)
		}
	}
}

func TestParseRulesPlacesParametersOfStrings(t *testing.T) {
	defs, _ := parse("rules:\n- name: a\n  on: x\n  webhooks:\n  - endpoint: e\n    parameters: ü=@x&b=@y\n")
	p := defs.Rules[0].Webhooks[0].Parameters
	for i, want := range []string{"6:17 6:19", "6:22 6:24"} {
		n, v := p[i].Name.Pos, p[i].Value.Pos
		if got := fmt.Sprintf("%d:%d %d:%d", n.Line, n.Column, v.Line, v.Column); got != want {
			t.Errorf("parameter %d stands at %s, want %s", i, got, want)
		}
	}
}

func TestParseRulesMergesDocumentsAndKeys(t *testing.T) {
	defs, problems := parse(`---
# a comment alone
---
filters:
  staff: &staff {user.role: staff, user.country: RO}
  others:
    <<: *staff
    user.country: US
---
rules:
- &base
  name: a
  on: x
  webhooks: &hooks
  - endpoint: e
- <<: [{name: c, enabled: false}, *base]
  name: b
- {name: d, on: y, webhooks: *hooks}
`)
	if len(problems) > 0 {
		t.Fatalf("problems: %s", lines(problems))
	}
	var got []string
	for _, r := range defs.Rules {
		got = append(got, fmt.Sprint(r.Path, " ", r.Name.Text, " ", r.On[0].Text, " ", r.Enabled.Text, " ", len(r.Webhooks)))
	}
	for _, e := range defs.Filters[1].Filter.Entries {
		got = append(got, e.Key.Text+"="+e.Conditions[0].Value.Text)
	}
	want := []string{"rules[0] a x  1", "rules[1] b x false 1", "rules[2] d y  1", "user.role=staff", "user.country=US"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("merged definitions are %q, want %q", got, want)
	}
}

// stairs is a text of mappings in mappings.
func stairs(levels int) string {
	var b strings.Builder
	for i := range levels {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestParseYAMLTakesAHundredLevels(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth),
		strings.Repeat("- ", maxDepth-1) + "x\n",
		stairs(maxDepth - 1),
	} {
		if docs, err := parseYAML(text); err != nil || len(docs) != 1 || docs[0].depth != maxDepth {
			t.Errorf("%.20q... has %d documents and the error %v, want one of %d levels", text, len(docs), err, maxDepth)
		}
	}
}

func TestMergeProblemsLeavesOutWhatFollows(t *testing.T) {
	files := []rule.SourceFile{{Path: "a.yaml"}, {Path: "b.yaml"}}
	at := func(file string, line int, path, text string) rule.Problem {
		return rule.Problem{Pos: rule.Pos{File: file, Line: line, Column: 1}, Path: path, Severity: rule.Error, Text: text}
	}
	lack := func(p rule.Problem) rule.Problem {
		p.Lack = true
		return p
	}
	got := MergeProblems(files,
		[]rule.Problem{at("b.yaml", 3, "rules[0].webhooks[0].endpoint", "a list"), at("gone.yaml", 1, "", "no such file")},
		[]rule.Problem{
			at("a.yaml", 9, "rules[0].webhooks[0].endpoint", "262 characters"),
			lack(at("b.yaml", 2, "rules[0].webhooks[0].endpoint", "a webhook without an endpoint")),
			at("b.yaml", 4, "rules[0].webhooks[0]", "webhook \"a\" is already defined"),
			at("b.yaml", 1, "rules[0].on", "no type"),
		})
	want := "gone.yaml:1:1: no such file\n" +
		"a.yaml:9:1: rules[0].webhooks[0].endpoint: 262 characters\n" +
		"b.yaml:1:1: rules[0].on: no type\n" +
		"b.yaml:3:1: rules[0].webhooks[0].endpoint: a list\n" +
		"b.yaml:4:1: rules[0].webhooks[0]: webhook \"a\" is already defined\n"
	if lines(got) != want {
		t.Errorf("merged problems are\n%swant\n%s", lines(got), want)
	}
}

func FuzzParseRules(f *testing.F) {
	files, _ := filepath.Glob("../testdata/rules/bad/*.yaml")
	for _, path := range append(files, "../testdata/rules/good.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		defs, problems := parse(text)
		if defs == nil {
			t.Fatal("no definitions")
		}
		for _, p := range problems {
			if strings.Contains(p.Text, "gave up") {
				t.Errorf("the parser panics: %s", p.Text)
			}
			if p.Pos.Line < 1 || p.Pos.Column < 1 || p.Text == "" || strings.ContainsAny(p.Text, "\n\r") {
				t.Errorf("problem %+v has no place, or is no single line", p)
			}
		}
	})
}
