package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"bellhop/config"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/rule"
)

func newRulesCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Check, try and look at rules, and go back to older ones",
		Example: `  bellhop rules check ./rules
  bellhop rules test --event event.json
  bellhop rules list
  bellhop rules diff`,
	}
	cmd.AddCommand(
		newRulesCheckCmd(a),
		newRulesTestCmd(a),
		newRulesBacktestCmd(a),
		newRulesListCmd(a),
		newRulesShowCmd(a),
		newRulesHistoryCmd(a),
		newRulesDiffCmd(a),
		newRulesRollbackCmd(a),
	)
	return cmd
}

// ruleFiles is what was read from rule files and what came of it.
type ruleFiles struct {
	defs     *rule.Definitions
	set      *rule.Set // nil where a problem is an error
	problems []rule.Problem
}

// loadRules reads and compiles the rule files at paths, those of the configuration where there are none. Without
// secrets they stay unresolved, and each is a warning.
func loadRules(s *config.Settings, paths []string, secrets bool) ruleFiles {
	if len(paths) == 0 {
		paths = s.Rules
	}
	files, problems := config.ReadRules(paths)
	return compileRules(s, files, problems, secrets)
}

// compileRules parses and compiles what was read, even where some of it is wrong, so that all problems come at once: those that reading
// it has brought, and its own.
func compileRules(s *config.Settings, files []rule.SourceFile, problems []rule.Problem, secrets bool) ruleFiles {
	size := 0
	for i := range files {
		size += len(files[i].Text)
	}
	defer pages.while(min(size, mostPages/heapByRules) * heapByRules)()
	defs, shape := config.ParseRules(files)
	problems = append(problems, shape...)
	o := rule.Options{
		Defaults: rule.Defaults{
			Timeout: s.Delivery.Timeout, Retries: s.Delivery.Retries, Encoding: s.Delivery.Encoding,
		},
		Forbidden: func(host string) string { return endpoint.ForbiddenHost(host, s.Delivery.AllowNetworks) },
	}
	if secrets {
		o.Secret = config.Secrets(s.SecretsDir, os.LookupEnv)
	}
	set, more := rule.Compile(defs, o)
	all := config.MergeProblems(defs.Files, problems, more)
	if countProblems(all, rule.Error) > 0 {
		set = nil
	}
	return ruleFiles{defs: defs, set: set, problems: all}
}

func countProblems(problems []rule.Problem, severity rule.Severity) int {
	n := 0
	for _, p := range problems {
		if p.Severity == severity {
			n++
		}
	}
	return n
}

// printProblems prints one problem a line: file:line:column: error: path: text.
func printProblems(w io.Writer, problems []rule.Problem) {
	paint := painter(w)
	for _, p := range problems {
		severity := paint(yellow, "warning:")
		if p.Severity == rule.Error {
			severity = paint(red, "error:")
		}
		text := p.Text
		if p.Path != "" {
			text = p.Path + ": " + text
		}
		fmt.Fprintf(w, "%s %s %s\n", placeOf(p.Pos), severity, oneLine(text))
	}
}

// placeOf gives file:line:column: with what there is of it: a folder that is not there has no lines.
func placeOf(p rule.Pos) string {
	if p.Line == 0 {
		return oneLine(p.File) + ":"
	}
	return oneLine(p.String()) + ":"
}
