package rule_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"bellhop/config"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

var defaults = rule.Defaults{Timeout: 10 * time.Second, Retries: 10, Encoding: "normalize"}

// key24 is a signing secret of 24 zero bytes.
const key24 = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// vault resolves secrets from a map; files have the prefix file:.
func vault(secrets map[string]string) rule.SecretFunc {
	return func(name string, file bool) (string, error) {
		what := "BELLHOP_SECRET_" + name + " is not set"
		if file {
			name, what = "file:"+name, "no such file in secrets_dir"
		}
		if v, ok := secrets[name]; ok {
			return v, nil
		}
		return "", errors.New(what)
	}
}

var secrets = vault(map[string]string{
	"TOKEN": "t0psecret", "KEY": key24, "BREAK": "hush\r\nX: y", "HOST": "crm.example.com", "BASE": "https://crm.example.com/in",
	"PORT": "8443", "SPACED": "a b", "file:token": "from-file", "SHORT": "whsec_AAAA", "PLAIN": "hushhush",
})

func forbidden(host string) string {
	if strings.HasPrefix(host, "127.") {
		return "loopback"
	}
	return ""
}

// definitions reads rule files' texts, which must have the right shape.
func definitions(t testing.TB, texts ...string) *rule.Definitions {
	t.Helper()
	var files []rule.SourceFile
	for i, text := range texts {
		files = append(files, rule.SourceFile{Path: string(rune('a'+i)) + ".yaml", Text: text})
	}
	d, problems := config.ParseRules(files)
	for _, p := range problems {
		t.Fatalf("the shape of the rule files: %s: %s: %s", p.Pos, p.Path, p.Text)
	}
	return d
}

// check compiles rule files and gives the problems as lines.
func check(t testing.TB, texts ...string) (*rule.Set, []string) {
	t.Helper()
	set, problems := rule.Compile(definitions(t, texts...), rule.Options{Defaults: defaults, Secret: secrets, Forbidden: forbidden})
	var lines []string
	for _, p := range problems {
		severity := "error"
		if p.Severity == rule.Warning {
			severity = "warning"
		}
		lines = append(lines, p.Pos.String()+": "+severity+": "+p.Path+": "+p.Text)
	}
	return set, lines
}

// compiled compiles rule files that have no errors.
func compiled(t testing.TB, texts ...string) *rule.Set {
	t.Helper()
	set, problems := check(t, texts...)
	if set == nil {
		t.Fatalf("Compile found errors:\n%s", strings.Join(problems, "\n"))
	}
	return set
}

// ofType makes an event of a type and its data.
func ofType(t testing.TB, eventType, data string) *event.Event {
	t.Helper()
	v, err := event.ParseJSON([]byte(data))
	if err != nil {
		t.Fatalf("event data %s: %v", data, err)
	}
	return &event.Event{
		ID: "e-1", Source: "/lms", Type: eventType, Data: v, Time: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC),
	}
}

// withFilter is a rule file with one webhook under the filter, which is YAML in flow style.
func withFilter(filter string) string {
	return "rules:\n- name: r\n  on: course.completed\n  filter: " + filter + "\n  webhooks: [{endpoint: https://crm.example.com/}]\n"
}

// withWhen is a rule file with one webhook under the expression.
func withWhen(when string) string {
	return "rules:\n- name: r\n  on: course.completed\n  webhooks:\n  - endpoint: https://crm.example.com/\n    when: |-\n      " +
		strings.ReplaceAll(when, "\n", "\n      ") + "\n"
}

// verdict explains the only webhook of a set and holds Match to the same answer.
func verdict(t testing.TB, set *rule.Set, e *event.Event) rule.Verdict {
	t.Helper()
	verdicts := set.Explain(e)
	if len(verdicts) != 1 {
		t.Fatalf("Explain gave %d verdicts, want 1", len(verdicts))
	}
	v := verdicts[0]
	if matched := len(set.Match(e, nil)) == 1; matched != v.Matched {
		t.Fatalf("Match says %v, Explain says %v (%s)", matched, v.Matched, v.Reason)
	}
	if v.Matched != (v.Reason == "") {
		t.Fatalf("Explain: matched %v with the reason %q", v.Matched, v.Reason)
	}
	return v
}
