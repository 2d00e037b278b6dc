package api

import (
	"strings"

	"bellhop/dispatcher/rule"
)

// Rules describes a compiled set, in file order.
func Rules(set *rule.Set) []Rule {
	rules := make([]Rule, 0, len(set.Rules))
	for _, r := range set.Rules {
		rules = append(rules, OneRule(r))
	}
	return rules
}

// OneRule describes one compiled rule, without its source.
func OneRule(r *rule.Rule) Rule {
	out := Rule{
		Name: r.Name, Description: r.Description, On: r.On, Enabled: r.Enabled,
		File: r.Pos.File, Line: r.Pos.Line, Webhooks: make([]Webhook, 0, len(r.Webhooks)),
	}
	for _, w := range r.Webhooks {
		hook := Webhook{
			Name: w.Name, Endpoint: w.Endpoint, Timeout: w.Timeout.String(), Retries: w.Retries, Signed: w.Signed,
			Parameters: make([]Parameter, 0, len(w.Parameters)),
		}
		for _, p := range w.Parameters {
			hook.Parameters = append(hook.Parameters, Parameter{Name: p.Name, Value: p.Value.Source()})
		}
		out.Webhooks = append(out.Webhooks, hook)
	}
	return out
}

// Findings describes problems, in their order.
func Findings(problems []rule.Problem) []Finding {
	found := make([]Finding, 0, len(problems))
	for _, p := range problems {
		severity := "warning"
		if p.Severity == rule.Error {
			severity = "error"
		}
		found = append(found, Finding{
			File: p.Pos.File, Line: p.Pos.Line, Column: p.Pos.Column, Severity: severity, Path: p.Path, Text: p.Text,
		})
	}
	return found
}

// Source cuts a rule's YAML out of its file: from its first line to the line before the next thing that stands no
// deeper, without the comments and blank lines that end it. It gives "" where pos is not inside a file.
func Source(files []rule.SourceFile, pos rule.Pos) string {
	for _, f := range files {
		if f.Path != pos.File {
			continue
		}
		lines := strings.Split(f.Text, "\n")
		if pos.Line < 1 || pos.Line > len(lines) {
			return ""
		}
		first := lines[pos.Line-1]
		// A list's item may be marked at its dash or behind it; what belongs to it is deeper than the dash either way.
		dash := indent(first)
		end := pos.Line
		last := end
		for ; end < len(lines); end++ {
			text := strings.TrimSpace(lines[end])
			if text == "" || strings.HasPrefix(text, "#") {
				continue
			}
			if indent(lines[end]) <= dash {
				break
			}
			last = end + 1
		}
		return strings.Join(lines[pos.Line-1:last], "\n") + "\n"
	}
	return ""
}

// indent counts the spaces that a line begins with.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " ")) }
