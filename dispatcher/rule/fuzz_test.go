package rule_test

import (
	"strconv"
	"strings"
	"testing"

	"bellhop/config"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
	"bellhop/template"
)

// FuzzFilter holds any filter to this: compiling and judging never fail, Match agrees with Explain, and a filter holds
// exactly where its negation does not.
func FuzzFilter(f *testing.F) {
	for _, filter := range []string{
		`{user.country: {in: [RO, US]}}`, `{any: [{a: 1}, {not: {b: {contains: [x, 1]}}}]}`, `{a: {gt: 1, lte: 1e3}, b: {exists: false}}`,
		`{a: {gte: "2026-01-31T08:00:00Z"}}`, `{a: {matches: "^x+$"}, event.type: course.completed}`, `{all: [{a: {not_in: [1]}}, {a: {not_equals: x}}]}`,
		`{a: {starts_with: x, ends_with: y}}`, `self`, `{}`,
	} {
		f.Add(filter, `{"user":{"country":"RO"},"a":1,"b":["x",1]}`)
		f.Add(filter, `{"a":"2026-01-31T10:00:00+02:00","b":null}`)
		f.Add(filter, `{"a":[],"b":{"c":1e999999999}}`)
	}
	f.Fuzz(func(t *testing.T, filter, data string) {
		if strings.ContainsAny(filter, "\n\r") {
			return
		}
		v, err := event.ParseJSON([]byte(data))
		if err != nil || v.Kind() != event.Object {
			return
		}
		e := &event.Event{ID: "e", Type: "course.completed", Data: v}
		judge := func(filter string) (matched, ok bool) {
			text := "filters: {self: " + filter + "}\n" + withFilter(filter)
			d, problems := config.ParseRules([]rule.SourceFile{{Path: "a.yaml", Text: text}})
			for _, p := range problems {
				if p.Severity == rule.Error {
					return false, false
				}
			}
			set, _ := rule.Compile(d, rule.Options{Defaults: defaults})
			if set == nil || len(set.Rules) != 1 || len(set.Rules[0].Webhooks) != 1 {
				return false, false
			}
			return verdict(t, set, e).Matched, true
		}
		holds, ok := judge(filter)
		negated, also := judge("{not: " + filter + "}")
		// What YAML reads in a mapping may differ from what it reads before a line's end; then nothing is claimed.
		if ok && also && holds == negated && !strings.ContainsAny(filter, "#&*!|>%@`") {
			t.Errorf("filter %s holds: %v, its negation: %v, for %s", filter, holds, negated, data)
		}
	})
}

// FuzzWhen runs any expression: never a panic, never a result that Match and Explain see differently.
func FuzzWhen(f *testing.F) {
	for _, when := range []string{
		`score >= 80 && "vip" in user.tags`, `all(list, # > 1)`, `let x = list; len(x) > 1`, `$env.score == 1`, `type(score) == "int"`,
		`list | map(# * 2) | sum() > 3`, `user?.name ?? "x" == "x"`, `text matches "a+"`, `replace(text, "a", text) == ""`, `date(text).Year() > 1`,
	} {
		f.Add(when)
	}
	f.Fuzz(func(t *testing.T, when string) {
		d := &rule.Definitions{Rules: []rule.RuleDef{{
			Name: rule.Scalar{Text: "r", Type: rule.TextScalar},
			On:   []rule.Scalar{{Text: "course.completed", Type: rule.TextScalar}},
			Webhooks: []rule.WebhookDef{{
				Endpoint: rule.Scalar{Text: "https://x.example.com/", Type: rule.TextScalar},
				When:     rule.Scalar{Text: when, Type: rule.TextScalar},
			}},
		}}}
		set, problems := rule.Compile(d, rule.Options{Defaults: defaults})
		if set == nil {
			for _, p := range problems {
				if strings.Contains(p.Text, "\n") {
					t.Errorf("when: %q: a problem of several lines: %q", when, p.Text)
				}
			}
			return
		}
		e := ofType(t, "course.completed", `{"score":81,"user":{"tags":["vip"]},"list":[1,2.5,"x",null,[1]],"text":"aab"}`)
		if v := verdict(t, set, e); strings.Contains(v.Reason, "\n") {
			t.Errorf("when: %q: a reason of several lines: %q", when, v.Reason)
		}
	})
}

// FuzzRender renders a value with many variables, which is rendered in pieces, and holds it to the same in one go.
func FuzzRender(f *testing.F) {
	for _, s := range []string{"@a @a", "@@a@a", "x@a@{a}x", "@a.b.@a", "é@a@9a", "@{@a}@{a b}@a", "@a.@a-@@@a@", "@{a..b}@a", "@first_name@a@@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ToValidUTF8(value, "?")
		// Eight variables more than there need be, so that the value is split.
		value += strings.Repeat(" @a", 9)
		d := &rule.Definitions{Rules: []rule.RuleDef{{
			Name: rule.Scalar{Text: "r", Type: rule.TextScalar},
			On:   []rule.Scalar{{Text: "course.completed", Type: rule.TextScalar}},
			Webhooks: []rule.WebhookDef{{
				Endpoint:   rule.Scalar{Text: "https://x.example.com/", Type: rule.TextScalar},
				Parameters: []rule.Parameter{{Name: rule.Scalar{Text: "p"}, Value: rule.Scalar{Text: value, Type: rule.TextScalar}}},
			}},
		}}}
		set, _ := rule.Compile(d, rule.Options{Defaults: defaults})
		if set == nil {
			return // too many variables run together
		}
		e := ofType(t, "course.completed", `{"a":"V","user":{"first_name":"Ann"},"x":{"a":`+strconv.Quote("W")+`}}`)
		got, err := set.Rules[0].Webhooks[0].Render(nil, e)
		want := template.AppendForm(nil, "p", template.Parse(value).Append(nil, e))
		if err != nil || string(got) != string(want) {
			t.Errorf("%q renders in pieces as\n  %s, %v; in one go as\n  %s", value, got, err, want)
		}
	})
}
