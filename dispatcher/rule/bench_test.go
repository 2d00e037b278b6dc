package rule_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"bellhop/config"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

// manyRules is a rule file of n rules on one type, each for another value of one field.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: rule-%d
    on: course.completed
    filter: {user.id: %d}
    webhooks:
      - endpoint: https://crm.example.com/hooks/%d
        parameters:
          student: "@first_name @last_name"
          course: "@course_name"
          email: "@email"
`, i, i, i)
	}
	return b.String()
}

// BenchmarkLoad reads and compiles 100,000 rules of one file.
func BenchmarkLoad(b *testing.B) {
	files := []rule.SourceFile{{Path: "a.yaml", Text: manyRules(100_000)}}
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, problems := config.ParseRules(files); len(problems) > 0 {
				b.Fatal(problems[0])
			}
		}
	})
	defs, _ := config.ParseRules(files)
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if set, problems := rule.Compile(defs, rule.Options{Defaults: defaults, Forbidden: forbidden}); set == nil {
				b.Fatal(problems[0])
			}
		}
	})
	b.Run("canonical", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rule.Canonical(defs)
		}
	})
}

// BenchmarkMatchMany matches events against 10 to 100,000 rules, of which each event fires one.
func BenchmarkMatchMany(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			set := compiled(b, manyRules(n))
			var events []*event.Event
			for i := range 10 {
				events = append(events, ofType(b, "course.completed", fmt.Sprintf(`{"user":{"id":%d}}`, i*n/10)))
			}
			var dst []*rule.Webhook
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if dst = set.Match(events[i%len(events)], dst[:0]); len(dst) != 1 {
					b.Fatalf("%d webhooks fire, want 1", len(dst))
				}
			}
		})
	}
}
