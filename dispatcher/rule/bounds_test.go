//go:build !race

// What bounds the cost of hostile input is measured without the race detector, under which one thread's work takes ten
// times as long.

package rule_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"bellhop/config"
	"bellhop/dispatcher/rule"
	"bellhop/internal/testkit"
)

// TestLargeFilesAreBounded reads and compiles files that are large in many ways, sound and hostile, within bounds that a
// daemon which reloads them can bear. Time alone is held loosely: what is not bounded takes far longer.
func TestLargeFilesAreBounded(t *testing.T) {
	const size, many = 10 << 20, 1 << 20 // bytes: of one text, and of many small ones
	fill := func(head string, line func(i int) string) string {
		b := strings.Builder{}
		b.WriteString(head)
		for i := 0; b.Len() < many; i++ {
			b.WriteString(line(i))
		}
		return b.String()
	}
	const hook = "  webhooks: [{endpoint: https://crm.example.com/}]\n"
	for _, tt := range []struct {
		about, text string
		errors      int // at least
	}{
		{"sound rules", fill("rules:\n", func(i int) string {
			return fmt.Sprintf("- name: r%d\n  on: course.completed\n  filter: {course.id: %d}\n%s", i, i, hook)
		}), 0},
		{"rules that are all wrong", fill("rules:\n", func(int) string { return "- {name: R, on: a..b, webhooks: [{endpoint: x}]}\n" }), 1000},
		{"one rule of many webhooks", fill("rules:\n- name: r\n  on: a.b\n  webhooks:\n", func(int) string {
			return "  - {endpoint: https://crm.example.com/, parameters: \"a=@first_name\"}\n"
		}), 0},
		{"one filter of many conditions", fill("filters:\n  f:\n", func(i int) string { return fmt.Sprintf("    a%d: {gt: %d}\n", i, i) }), 1},
		{"one list of many values", fill("filters:\n  f: {a: {in: [x", func(i int) string { return fmt.Sprintf(", v%d", i) }) + "]}}\n", 0},
		{"many expressions", fill("rules:\n- name: r\n  on: a.b\n  webhooks:\n", func(i int) string {
			return fmt.Sprintf("  - {endpoint: https://crm.example.com/, when: 'any(a, any(b, # == %d)) %s'}\n", i, strings.Repeat(" and x", 150))
		}), 0},
		{"many variables in a value", "rules:\n- name: r\n  on: a.b\n  webhooks:\n  - endpoint: https://crm.example.com/\n    parameters: {a: \"" +
			strings.Repeat("@first_name ", size/12) + "\"}\n", 0},
		{"a long number", "filters:\n  f: {a: " + strings.Repeat("9", size) + "}\n", 0},
		{"a long hexadecimal number", "filters:\n  f: {a: 0x" + strings.Repeat("f", size) + "}\n", 1},
		{"a long name", "filters:\n  " + strings.Repeat("f", size) + ": {a: 1}\n", 1},
		{"a long path", "filters:\n  f: {a" + strings.Repeat(".a", size/2) + ": 1}\n", 0},
		{"a long type", "rules:\n- name: r\n  on: " + strings.Repeat("a.", size/2) + "a\n" + hook, 0},
		{"a long endpoint", "rules:\n- name: r\n  on: a.b\n  webhooks: [{endpoint: https://crm.example.com/" + strings.Repeat("%", size) + "}]\n", 1},
		{"a long pattern", "filters:\n  f: {a: {matches: '" + strings.Repeat("(a|b)", size/5) + "'}}\n", 1},
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		started := testkit.CPUTime(t)
		defs, shape := config.ParseRules([]rule.SourceFile{{Path: "a.yaml", Text: tt.text}})
		_, meaning := rule.Compile(defs, rule.Options{Defaults: defaults, Secret: secrets})
		problems := config.MergeProblems(defs.Files, shape, meaning)
		took := testkit.CPUTime(t) - started
		runtime.ReadMemStats(&after)
		errs, longest := 0, 0
		for _, p := range problems {
			if p.Severity == rule.Error {
				errs++
			}
			longest = max(longest, len(p.Text), len(p.Path))
		}
		grown := max(0, int64(after.HeapSys)-int64(before.HeapSys)) >> 20
		t.Logf("%-30s %4d MiB more heap, %8s, %d errors, longest text %d", tt.about, grown, took.Round(time.Millisecond), errs, longest)
		if tt.errors == 0 && errs > 0 || errs < tt.errors {
			t.Errorf("%s: %d errors, want %d; the first problems are %.600v", tt.about, errs, tt.errors, problems[:min(2, len(problems))])
		}
		if took > 2*time.Minute || grown > 1<<10 || longest > 4100 {
			t.Errorf("%s took %s and %d MiB of heap, and has a text of %d bytes", tt.about, took, grown, longest)
		}
	}
}

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
			started := testkit.CPUTime(t)
			v := verdict(t, set, e)
			if v.Matched || !strings.Contains(v.Reason, want) {
				t.Errorf("%s against the %s text: %.200s, want %q", tt.pattern, field, v.Reason, want)
			}
			// Far above what it takes on a slow machine, and far below what these take without bounds.
			if took := testkit.CPUTime(t) - started; took > 30*time.Second {
				t.Errorf("%s against the %s text took %s", tt.pattern, field, took)
			}
		}
	}
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

// TestWhenIsBounded runs expressions that would take minutes or gigabytes on an event of a mebibyte: what ends them is
// their budget, not the test's patience.
func TestWhenIsBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"list": [`)
	for b.Len() < 1<<19 {
		b.WriteString(`"ab",`)
	}
	b.WriteString(`"z"], "text": "` + strings.Repeat("a", 1<<19) + `", "sep": "` + strings.Repeat("x", 1<<17) + `"}`)
	e := ofType(t, "course.completed", b.String())
	double := "let x0 = [text, text]; "
	for i := range 40 {
		double += "let x" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + " = "
		if i == 0 {
			double += "[x0, x0]; "
			continue
		}
		last := "x" + string(rune('a'+(i-1)%26)) + string(rune('a'+(i-1)/26))
		double += "[" + last + ", " + last + "]; "
	}
	for _, when := range []string{
		`count(list, count(list, # == "z") > 0) == 7`,
		`any(list, all(list, any(list, # == "never")))`,
		`all(list, # in list)`,
		`all(list, list == list)`,
		`all(list, not (text contains "b"))`,
		`all(list, not (text contains sep))`,
		`all(list, not (text matches "(a|b|ab)*c"))`,
		`all(list, not (text matches (# + "c")))`,
		`all(list, not (text startsWith text + #))`,
		`sum(1..1000000000) > 0 and len(map(1..1000000000, #)) > 0`,
		`len(1..9223372036854775807) > 0`,
		`all(1..100000, len(1..100000) > 0)`,
		`len(replace(text, "", sep)) > 0`,
		`len(join(list, sep)) > 0`,
		`len(repeat(text, 1000000)) > 0`,
		`len(repeat("", 9223372036854775807)) >= 0`,
		`len(uniq(map(list, [#, #index]))) > 0`,
		`len(reduce(list, #acc + text, "")) > 0`,
		`len(reduce(list, concat(#acc, list), [])) > 0`,
		`len(reduce(list, [#acc, #acc], [])) == 2 && false || toJSON(reduce(1..60, [#acc, #acc], [])) == ""`,
		double + `len(toJSON(xnb)) > 0`,
		double + `xnb == xmb`,
		`all(list, len(sort(list)) > 0)`,
		`all(list, len(split(text, "")) > 0)`,
		`all(list, len(text[1:]) > 0)`,
		`all(list, upper(text) != "")`,
		`all(list, text < text + "a")`,
		`len(flatten(map(list, list))) > 0`,
	} {
		set := compiled(t, withWhen(when))
		v := verdict(t, set, e)
		if v.Matched || !strings.Contains(v.Reason, "too many steps") && !strings.Contains(v.Reason, "memory budget exceeded") {
			t.Errorf("when: %.80s: matched %v, reason %.200q, want it ended by its budget", when, v.Matched, v.Reason)
		}
	}
}
