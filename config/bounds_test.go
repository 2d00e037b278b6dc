//go:build !race

// What bounds the cost of hostile input is measured without the race detector, under which one thread's work takes ten
// times as long.

package config

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bellhop/internal/testkit"
)

func TestParseRulesBoundsHostileTexts(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	var chain strings.Builder
	chain.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 200; i++ {
		fmt.Fprintf(&chain, "a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	var tower strings.Builder
	tower.WriteString("a0: &a0 {x: 1}\n")
	for i := 1; i < 200; i++ {
		fmt.Fprintf(&tower, "a%d: &a%d {? *a%d : 1}\n", i, i, i-1)
	}
	for _, c := range []struct{ name, text, want string }{
		{"brackets", strings.Repeat("[", 1<<20), "levels deep"},
		{"braces", strings.Repeat("{a: ", 10_000), "levels deep"},
		{"dashes", strings.Repeat("- ", 10_000) + "x", "levels deep"},
		{"question marks", strings.Repeat("? ", 10_000) + "x", "levels deep"},
		{"tags", "a: " + strings.Repeat("!!str ", 10_000) + "x", "not valid YAML"},
		{"a hundred levels", strings.Repeat("[", 101) + strings.Repeat("]", 101), "levels deep"},
		{"billion laughs", laughs.String(), "aliases repeat"},
		{"a chain of aliases", chain.String(), "levels deep"},
		{"an alias in its own anchor", "a: &a [*a]\n", "inside of its own anchor"},
		{"a mapping as a key in itself", strings.Repeat("? - ", 10_000), "levels deep"},
		{"colons", strings.Repeat(": ", 10_000), "levels deep"},
		{"stairs", stairs(101), "levels deep"},
		{"a tower of aliases", tower.String(), "levels deep"},
		{"empty lists", "a: [" + strings.Repeat("[],", 300_000) + "]", `unknown key "a"`},
		{"a list of commas", "a: [" + strings.Repeat(",", 300_000) + "]", "a , where a value belongs"},
		{"many words on a line of JSON", `{"a": [` + strings.Repeat(`{"b":1},`, 100_000) + "{}]}", `unknown key "a"`},
		{"a huge text", "a: " + strings.Repeat("x ", 5_000_000), `unknown key "a"`},
		{"a huge quoted text", `a: "` + strings.Repeat(`\n`, 2_000_000) + `"`, `unknown key "a"`},
		{"a huge key", strings.Repeat("k", 5_000_000) + ": 1", "unknown key"},
		{"quotes without end", strings.Repeat(`"a" `, 300_000), "text behind the end of the document"},
		{"comments", strings.Repeat("# c\n- x # d\n", 100_000), "a list, but a mapping belongs here"},
		{"documents", strings.Repeat("---\n- a\n", 50_000), "a list, but a mapping belongs here"},
		{"many keys", strings.Repeat("a: 1\n", 200_000), `unknown key "a"`},
		{"invalid UTF-8", "rules: \xff\n", "byte 0xff is not UTF-8"},
		{"a control character", "rules:\n  - \x01\n", "control character U+0001"},
		{"a huge file", strings.Repeat("#", maxFileSize+1), "at most 67108864"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := testkit.CPUTime(t)
			_, problems := parse(c.text)
			if len(problems) == 0 || !strings.Contains(problems[0].Text, c.want) {
				t.Errorf("problems are %.200s, want one with %q", lines(problems), c.want)
			}
			if d := testkit.CPUTime(t) - start; d > 30*time.Second {
				t.Errorf("took %s of the processor's time", d)
			}
		})
	}
}
