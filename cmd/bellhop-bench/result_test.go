package main

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	r := &result{
		Group: "some", Title: "a title", Notes: []string{"a note"},
		columns: []column{{"name", "name", ""}, {"n", "count", ""}, {"r", "ratio", "%.2f"}, {"d", "ms", ""}, {"m", "MB", "mb"}},
	}
	r.add(map[string]any{"name": "ă", "n": 12345678, "r": 0.5, "d": 1500 * time.Microsecond, "m": 2.5e6})
	r.add(map[string]any{"name": "long one", "n": 1, "r": math.NaN()})
	var b strings.Builder
	r.table(&b)
	want := `
some: a title
  name         count  ratio    ms   MB
  ă         12345678   0.50  1.50  2.5
  long one         1      -     -    -
  a note
`
	if b.String() != want {
		t.Errorf("table =\n%s\nwant\n%s", b.String(), want)
	}
}

func TestTableSkipped(t *testing.T) {
	var b strings.Builder
	(&result{Group: "some", Title: "a title", Skipped: "the time was over"}).table(&b)
	if want := "\nsome: a title\n  not measured: the time was over\n"; b.String() != want {
		t.Errorf("table = %q, want %q", b.String(), want)
	}
}
