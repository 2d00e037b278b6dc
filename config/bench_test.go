package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

// manyRules is a rule file of n rules such as operators write.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: rule-%d
    on: course.completed
    filter: {user.country: RO}
    webhooks:
      - endpoint: https://crm.example.com/hooks/%d
        parameters:
          student: "@first_name @last_name"
          course: "@course_name"
`, i, i)
	}
	return b.String()
}

// BenchmarkLoadRules measures a file of 100,000 rules: loadRules reads it, Compile makes a set of the definitions.
// The time of both grows with the rules, not faster.
func BenchmarkLoadRules(b *testing.B) {
	const n = 100_000
	path := filepath.Join(b.TempDir(), "rules.yaml")
	text := manyRules(n)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	defs, problems := loadRules([]string{path})
	if len(problems) > 0 || len(defs.Rules) != n {
		b.Fatalf("%d rules, problems %v", len(defs.Rules), problems)
	}
	b.Run("LoadRules", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			loadRules([]string{path})
		}
	})
	b.Run("Compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, problems := rule.Compile(defs, rule.Options{}); len(problems) > 0 {
				b.Fatalf("problems %v", problems[:1])
			}
		}
	})
}
