package rule_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"bellhop/config"
	"bellhop/dispatcher/rule"
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
		started := cpuTime(t)
		defs, shape := config.ParseRules([]rule.SourceFile{{Path: "a.yaml", Text: tt.text}})
		_, meaning := rule.Compile(defs, rule.Options{Defaults: defaults, Secret: secrets})
		problems := config.MergeProblems(defs.Files, shape, meaning)
		took := cpuTime(t) - started
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
