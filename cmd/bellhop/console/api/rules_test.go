package api

import (
	"testing"

	"bellhop/dispatcher/rule"
)

func TestSource(t *testing.T) {
	const text = `filters:
  staff: {user.role: staff}
rules:
  - name: first
    on: course.completed

    # a comment inside
    webhooks:
      - endpoint: https://a.example.com/
  # about the second
  - name: second
    webhooks:
    - endpoint: https://b.example.com/

other: 1
`
	files := []rule.SourceFile{{Path: "other.yaml", Text: "x"}, {Path: "a.yaml", Text: text}}
	first := "  - name: first\n    on: course.completed\n\n    # a comment inside\n    webhooks:\n      - endpoint: https://a.example.com/\n"
	second := "  - name: second\n    webhooks:\n    - endpoint: https://b.example.com/\n"
	for _, tt := range []struct {
		name string
		pos  rule.Pos
		want string
	}{
		{"at the dash", rule.Pos{File: "a.yaml", Line: 4, Column: 3}, first},
		{"behind the dash", rule.Pos{File: "a.yaml", Line: 4, Column: 5}, first},
		{"the last rule", rule.Pos{File: "a.yaml", Line: 11, Column: 5}, second},
		{"no such file", rule.Pos{File: "b.yaml", Line: 4}, ""},
		{"behind the end", rule.Pos{File: "a.yaml", Line: 400}, ""},
		{"nowhere", rule.Pos{File: "a.yaml"}, ""},
	} {
		if got := Source(files, tt.pos); got != tt.want {
			t.Errorf("Source(%s) = %q, want %q", tt.name, got, tt.want)
		}
	}
}
