package rule_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestPatternsAreBounded holds patterns that other engines never end on, and those that take RE2 minutes, against a
// mebibyte: each is refused, or is judged at once, or says that the text is too long for it.
func TestPatternsAreBounded(t *testing.T) {
	e := ofType(t, "course.completed", `{"long": "`+strings.Repeat("a", 1<<20)+`", "short": "`+strings.Repeat("a", 2000)+`"}`)
	for _, tt := range []struct{ pattern, long, short string }{
		{`(a|a)*b`, "found \"aaa", "found \"aaa"},
		{`(a*)*b`, "found \"aaa", "found \"aaa"},
		{`(a+)+$x`, "found \"aaa", "found \"aaa"},
		{`^(([a-z])+.)+[A-Z]([a-z])+$`, "found \"aaa", "found \"aaa"},
		{`(.*a){20}b`, "found \"aaa", "found \"aaa"},
		{`(?:a?){1000}b`, "found a text of 1048576 bytes, too long for a pattern of 2003 steps", "found \"aaa"},
		{`[a-z]{1,255}@[a-z]{1,255}`, "found a text of 1048576 bytes, too long for a pattern of 1021 steps", "found \"aaa"},
		{`(?:[a-z]?[a-z]?){500}b`, "too long for a pattern", "found \"aaa"},
	} {
		for field, want := range map[string]string{"long": tt.long, "short": tt.short} {
			set := compiled(t, withFilter(fmt.Sprintf("{%s: {matches: '%s'}}", field, tt.pattern)))
			started := cpuTime(t)
			v := verdict(t, set, e)
			if v.Matched || !strings.Contains(v.Reason, want) {
				t.Errorf("%s against the %s text: %.200s, want %q", tt.pattern, field, v.Reason, want)
			}
			// Far above what it takes on a slow machine, and far below what these take without bounds.
			if took := cpuTime(t) - started; took > 30*time.Second {
				t.Errorf("%s against the %s text took %s", tt.pattern, field, took)
			}
		}
	}
}

func TestPatternsThatAreTooLarge(t *testing.T) {
	for _, tt := range []struct{ pattern, want string }{
		{`a{1001}`, "invalid repeat count: `{1001}`"},
		{`(a{100}){100}`, "invalid repeat count: `{100}`"},
		{`(abcdefgh){1000}`, "a pattern of 10002 steps, at most 5000: repeat less, or fewer characters"},
		{strings.Repeat(`\pL`, 100), "a pattern of 16577 steps, at most 5000: repeat less, or fewer characters"},
		{strings.Repeat(`(`, 1001) + strings.Repeat(`)`, 1001), "expression nests too deeply"},
	} {
		_, problems := check(t, withFilter("{x: {matches: '"+tt.pattern+"'}}"))
		if len(problems) != 1 || !strings.Contains(problems[0], "rules[0].filter.x.matches: matches: ") || !refusal(problems[0], tt.want) {
			t.Errorf("matches %.40s: problems %.300q, want %q", tt.pattern, problems, tt.want)
		}
		_, problems = check(t, withWhen(`x matches "`+strings.ReplaceAll(tt.pattern, `\`, `\\`)+`"`))
		if len(problems) != 1 {
			t.Errorf("when matches %.40s: problems %.300q, want one", tt.pattern, problems)
		}
	}
}

// refusal tells whether a problem says so; how many ranges \pL has is Unicode's, which a newer Go may know more of.
func refusal(problem, want string) bool {
	head, _, _ := strings.Cut(want, "16577")
	return strings.Contains(problem, head)
}

// TestPatternsAreBoundedTogether compiles patterns that would take the machine's memory one by one, each small enough.
func TestPatternsAreBoundedTogether(t *testing.T) {
	var b strings.Builder
	b.WriteString("filters:\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "  f%d: {x: {matches: '(?:ab%d){500}'}}\n", i, i)
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	set, problems := check(t, b.String())
	runtime.ReadMemStats(&after)
	if set != nil || len(problems) != 1 || !strings.Contains(problems[0], "have more than 4000000 steps together") {
		t.Errorf("3000 large patterns: set %v, problems %.300q, want one", set != nil, problems)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 1<<30 {
		t.Errorf("3000 large patterns took %d MiB", grown>>20)
	}
	// The same one over and over is compiled once.
	b.Reset()
	b.WriteString("filters:\n")
	for i := range 3000 {
		fmt.Fprintf(&b, "  f%d: {x: {matches: '(?:abcd){500}'}}\n", i)
	}
	if set, problems := check(t, b.String()); set == nil {
		t.Errorf("3000 times the same pattern: %.300q", problems)
	}
}
