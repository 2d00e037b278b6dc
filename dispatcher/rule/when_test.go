package rule_test

import (
	"strings"
	"testing"
)

func TestWhen(t *testing.T) {
	const data = `{"score": 81, "user": {"tags": ["vip", 1], "name": "Ann", "vip": true}, "ratio": 12.0, "big": 9223372036854775808,
		"items": [{"price": 2}, {"price": 3.5}], "event": {"type": "mine"}, "count": 3, "join": 4, "first-name": "x", "type": "t", "now": 5}`
	for _, tt := range []struct {
		when string
		send bool
	}{
		{`score >= 80 && "vip" in user.tags`, true},
		{`score > 81`, false},
		{`user.vip`, true},
		{`missing == nil`, true},
		{`user.missing == nil`, true},
		{`user.missing.deeper == 1`, false}, // an error
		{`user?.missing?.deeper == nil`, true},
		{`missing > 1`, false}, // an error
		{`first_name == nil`, true},
		{`event.type == "course.completed" && event.id == "e-1" && event.source == "/lms"`, true},
		{`event.time == "2026-03-01T08:00:00Z"`, true},
		{`date(event.time).Year() == 2026`, true},
		{`ratio == 12 && ratio % 5 == 2`, true},
		{`big > 1e18`, true},
		{`sum(items, .price) == 5.5`, true},
		{`all(items, .price > 1) && any(items, .price > 3) && none(items, .price > 4)`, true},
		{`len(filter(items, .price > 3)) == 1`, true},
		{`user.name matches "^A" && user.name contains "nn" && user.name startsWith "A"`, true},
		{`user.name matches user.name`, true},
		{`let n = user.name; n + "!" == "Ann!"`, true},
		{`join(["a", "b"], "-") == "a-b" && join == 4 && count == 3`, true},
		{`type == "t" && type(type) == "string" && now == 5 && count(items, .price > count) == 1`, true},
		{`replace("aaa", "a", "b") == "bbb" && repeat("ab", 2) == "abab"`, true},
		{`len(uniq([1, 1.0, 2, "1", [1], [1]])) == 4`, true},
		{`["b", "a"] | sort() | join(",") == "a,b"`, true},
		{`$env["first-name"] == "x" && $env.score == 81`, true},
		{`user.tags == ["vip", 1]`, true},
		{`score in 80..90 && user.name in ["Ann", "Bob"]`, true},
		{`len(groupBy(items, .price)) == 2 && len(keys(user)) == 3`, true},
		{`score ? true : false`, false}, // an error
		{`score`, false},
		{`user`, false},
		{`"true"[0:4] == "true"`, true},
		{`reduce(items, #acc + .price, 0) == 5.5`, true},
		{`toJSON(user.tags) contains "vip"`, true},
		{`user.name()`, false}, // an error
	} {
		set := compiled(t, withWhen(tt.when))
		if v := verdict(t, set, ofType(t, "course.completed", data)); v.Matched != tt.send {
			t.Errorf("when: %s sends: %v, want %v (%s)", tt.when, v.Matched, tt.send, v.Reason)
		}
	}
}

// TestWhenWithoutASource: what is missing is nil, of the envelope too.
func TestWhenWithoutASource(t *testing.T) {
	e := ofType(t, "course.completed", `{}`)
	e.Source = ""
	for when, send := range map[string]bool{`event.source == nil`: true, `event.source == ""`: false, `event.source startsWith "/"`: false} {
		if v := verdict(t, compiled(t, withWhen(when)), e); v.Matched != send {
			t.Errorf("when: %s sends: %v, want %v (%s)", when, v.Matched, send, v.Reason)
		}
	}
}

func TestWhenMistakes(t *testing.T) {
	for _, tt := range []struct{ when, want string }{
		{`score >=`, `unexpected token EOF (1:8)`},
		{`score >= 80 &&& true`, `unexpected token Operator("&") (1:15)`},
		{`1 + 1`, `gives a number, not true or false`},
		{`"a" > 1`, `invalid operation: > (mismatched types string and int) (1:5)`},
		{`now() > date("2026-01-01")`, `there is no function now (1:1)`},
		{`foo(score)`, `there is no function foo (1:1)`},
		{`date("2026-01-01", "2006-01-02", "Europe/Bucharest") == nil`, `date takes no time zone by name: write the offset in the text (1:1)`},
		{"score > 1 &&\n  all(user.tags, 1)", `predicate should return boolean (got int) (2:18)`},
		{strings.Repeat("1 + ", 1100) + "1", `4401 characters, at most 4096`},
		{strings.Repeat("!", 1500) + "true", `compilation failed: expression exceeds maximum allowed nodes (1:1504)`},
	} {
		_, problems := check(t, withWhen(tt.when))
		if len(problems) != 1 {
			t.Errorf("when: %s: problems %q, want one", tt.when, problems)
			continue
		}
		if _, text, _ := strings.Cut(problems[0], ".when: "); text != tt.want {
			t.Errorf("when: %.60s:\n  %s, want\n  %s", tt.when, text, tt.want)
		}
	}
}
