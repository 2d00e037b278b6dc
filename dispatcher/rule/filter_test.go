package rule_test

import (
	"strings"
	"testing"
)

// data is what the filter tests ask about.
const data = `{
  "user": {"id": 12, "country": "RO", "score": 12.50, "big": 9007199254740993, "zero": -0.0, "archived": false, "nick": null,
    "roles": ["instructor", 7, true, null], "none": [], "joined": "2026-01-31T10:00:00+02:00", "empty": "",
    "organization": {"name": "Acme"}, "huge": 1e999999999, "Password": "x"},
  "event": {"type": "mine"}, "score": 1e2
}`

func TestFilterConditions(t *testing.T) {
	for _, tt := range []struct {
		filter string
		holds  bool
	}{
		// equals, as numbers, as text, never across.
		{`{user.country: RO}`, true},
		{`{user.country: ro}`, false},
		{`{user.country: {equals: RO}}`, true},
		{`{user.id: 12}`, true},
		{`{user.id: 12.0}`, true},
		{`{user.id: 1.2e1}`, true},
		{`{user.id: 0xC}`, true},
		{`{user.id: "12"}`, false},
		{`{user.country: 12}`, false},
		{`{user.score: 12.5}`, true},
		{`{user.zero: 0}`, true},
		{`{score: 100}`, true},
		{`{user.big: 9007199254740993}`, true},
		{`{user.big: 9007199254740992}`, false},
		{`{user.huge: 1e999999999}`, true},
		{`{user.huge: 1e999999998}`, false},
		{`{user.archived: false}`, true},
		{`{user.archived: "false"}`, false},
		{`{user.archived: true}`, false},
		{`{user.empty: ""}`, true},
		{`{user.organization: Acme}`, false},
		{`{user.organization.name: Acme}`, true},
		{`{user.organization.name.first: Acme}`, false},
		// not_equals and not_in hold of what is missing, null or of another kind, but not of a list.
		{`{user.country: {not_equals: DE}}`, true},
		{`{user.country: {not_equals: RO}}`, false},
		{`{user.id: {not_equals: "12"}}`, true},
		{`{user.gone: {not_equals: RO}}`, true},
		{`{user.nick: {not_equals: RO}}`, true},
		{`{user.roles: {not_equals: RO}}`, false},
		{`{user.none: {not_equals: RO}}`, false},
		{`{user.country: {in: [DE, RO]}}`, true},
		{`{user.country: {in: [DE]}}`, false},
		{`{user.id: {in: ["12", 13]}}`, false},
		{`{user.gone: {in: [RO]}}`, false},
		{`{user.country: {not_in: [DE]}}`, true},
		{`{user.country: {not_in: [RO]}}`, false},
		{`{user.gone: {not_in: [RO]}}`, true},
		{`{user.nick: {not_in: [RO]}}`, true},
		{`{user.roles: {not_in: [RO]}}`, false},
		{`{user.roles: {in: [instructor]}}`, false},
		{`{user.roles: instructor}`, false},
		// contains: a substring, or an element of a list; of several, any.
		{`{user.organization.name: {contains: cm}}`, true},
		{`{user.organization.name: {contains: CM}}`, false},
		{`{user.organization.name: {contains: [x, cm]}}`, true},
		{`{user.roles: {contains: instructor}}`, true},
		{`{user.roles: {contains: instruct}}`, false},
		{`{user.roles: {contains: 7.0}}`, true},
		{`{user.roles: {contains: "7"}}`, false},
		{`{user.roles: {contains: true}}`, true},
		{`{user.roles: {contains: [vip, gold]}}`, false},
		{`{user.roles: {contains: [vip, instructor]}}`, true},
		{`{user.none: {contains: vip}}`, false},
		{`{user.id: {contains: 1}}`, false},
		{`{user.gone: {contains: x}}`, false},
		// text.
		{`{user.organization.name: {starts_with: Ac}}`, true},
		{`{user.organization.name: {starts_with: ac}}`, false},
		{`{user.organization.name: {ends_with: me}}`, true},
		{`{user.organization.name: {matches: "c.e$"}}`, true},
		{`{user.organization.name: {matches: "^c"}}`, false},
		{`{user.id: {matches: "1"}}`, false},
		{`{user.roles: {matches: "."}}`, false},
		// order.
		{`{user.score: {gt: 12.49, lt: 12.51}}`, true},
		{`{user.score: {gte: 12.5, lte: 12.5}}`, true},
		{`{user.score: {gt: 12.5}}`, false},
		{`{user.big: {gt: 9007199254740992}}`, true},
		{`{user.country: {gt: 1}}`, false},
		{`{user.roles: {gt: 1}}`, false},
		{`{user.gone: {lt: 1}}`, false},
		{`{user.joined: {gte: "2026-01-31T08:00:00Z", lte: "2026-01-31T08:00:00Z"}}`, true},
		{`{user.joined: {gt: "2026-01-31T07:59:59.999Z"}}`, true},
		{`{user.joined: {lt: "2026-01-31T08:00:00Z"}}`, false},
		{`{user.country: {gt: "2026-01-31T08:00:00Z"}}`, false},
		{`{user.id: {gt: "2026-01-31T08:00:00Z"}}`, false},
		// exists.
		{`{user.country: {exists: true}}`, true},
		{`{user.roles: {exists: true}}`, true},
		{`{user.none: {exists: true}}`, true},
		{`{user.organization: {exists: true}}`, true},
		{`{user.empty: {exists: true}}`, true},
		{`{user.nick: {exists: true}}`, false},
		{`{user.nick: {exists: false}}`, true},
		{`{user.gone.deeper: {exists: false}}`, true},
		{`{user.gone: {exists: true}}`, false},
		{`{user.password: {exists: true}}`, false},
		// the envelope, which wins over a field called event.
		{`{event.type: course.completed}`, true},
		{`{event.id: e-1}`, true},
		{`{event.source: /lms}`, true},
		{`{event.time: {gte: "2026-03-01T08:00:00Z"}}`, true},
		// together.
		{`{user.country: RO, user.id: 12}`, true},
		{`{user.country: RO, user.id: 13}`, false},
		{`{all: [{user.country: RO}, {user.id: 12}]}`, true},
		{`{any: [{user.country: DE}, {user.id: 12}]}`, true},
		{`{any: [{user.country: DE}, {user.id: 13}]}`, false},
		{`{not: {user.country: DE}}`, true},
		{`{not: {user.country: RO, user.id: 13}}`, true},
		{`{user.country: RO, any: [{user.id: 1}, {not: {user.id: 1}}]}`, true},
		{`{not: {not: {not: {user.id: 12}}}}`, false},
	} {
		set := compiled(t, withFilter(tt.filter))
		if v := verdict(t, set, ofType(t, "course.completed", data)); v.Matched != tt.holds {
			t.Errorf("filter %s holds: %v, want %v (%s)", tt.filter, v.Matched, tt.holds, v.Reason)
		}
	}
}

func TestNamedFilters(t *testing.T) {
	set := compiled(t, `
filters:
  staff: {any: [instructor, {user.organization.name: Acme}]}
  instructor: {user.roles: {contains: instructor}}
rules:
- {name: a, on: course.completed, filter: staff, webhooks: [{endpoint: https://x.example.com/, filter: {not: staff}}]}
- {name: b, on: course.completed, filter: staff, webhooks: [{endpoint: https://x.example.com/, filter: {all: [instructor, staff]}}]}
`)
	got := set.Match(ofType(t, "course.completed", data), nil)
	if len(got) != 1 || got[0].Rule.Name != "b" {
		t.Errorf("Match = %v, want the webhook of rule b alone", got)
	}
}

func TestReasons(t *testing.T) {
	for _, tt := range []struct{ file, data, want string }{
		{withFilter(`{user.country: {in: [RO, US]}}`), `{"user":{"country":"DE"}}`, `filter: user.country: in [RO, US]: found "DE"`},
		{withFilter(`{user.country: {in: [RO, US]}}`), `{}`, `filter: user.country: in [RO, US]: found missing`},
		{withFilter(`{user.country: RO}`), `{"user":{"country":null}}`, `filter: user.country: equals RO: found null`},
		{withFilter(`{user.id: "12"}`), `{"user":{"id":12}}`, `filter: user.id: equals "12": found 12`},
		{withFilter(`{score: {gte: 80}}`), `{"score":79.50}`, `filter: score: gte 80: found 79.50`},
		{withFilter(`{user: {exists: false}}`), `{"user":{"a":[1,"x"]}}`, `filter: user: exists false: found {"a":[1,"x"]}`},
		{withFilter(`{not: {user.country: RO}}`), `{"user":{"country":"RO"}}`, `filter: not user.country: equals RO: found "RO"`},
		{withFilter(`{not: {a: 1, b: 2}}`), `{"a":1,"b":2}`, `filter: not (a: equals 1 and b: equals 2): it holds`},
		{withFilter(`{any: [{a: 1}, {b: 2}]}`), `{"a":2}`, `filter: none of: a: equals 1: found 2; b: equals 2: found missing`},
		{withFilter(`{all: [{a: 1}, {b: 2}]}`), `{"a":1}`, `filter: b: equals 2: found missing`},
		{withFilter(`{a: 1}`), `{"a":"` + strings.Repeat("é", 100) + `"}`, `filter: a: equals 1: found "` + strings.Repeat("é", 80) + `…"`},
		{"filters: {staff: {a: 1}}\n" + withFilter(`staff`), `{"a":2}`, `filter staff: a: equals 1: found 2`},
		{"filters: {staff: {a: 1}}\n" + withFilter(`{not: staff}`), `{"a":1}`, `filter: not filter staff: it holds`},
		{withFilter(`{a: 1}`), `{"user":{"archived":true}}`, `user.archived is true and the rule does not include archived users`},
		{withWhen(`score >= 80`), `{"score":79}`, `when: score >= 80 is false`},
		{withWhen(`score`), `{"score":79}`, `when: score gives a number, not true or false`},
		{withWhen(`score`), `{}`, `when: score gives nil, not true or false`},
		{strings.Replace(withFilter(`{a: 1}`), "- name: r", "- name: r\n  enabled: false", 1), `{"a":1}`, `rule is disabled`},
	} {
		if v := verdict(t, compiled(t, tt.file), ofType(t, "course.completed", tt.data)); v.Reason != tt.want {
			t.Errorf("the reason for %s is\n  %s, want\n  %s", tt.data, v.Reason, tt.want)
		}
	}
}
