package rule_test

import (
	"strings"
	"testing"
)

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
