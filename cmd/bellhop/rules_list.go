package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
)

// askRules runs a question to the rules in force: to the daemon's socket, to a console, or to the store.
func (a *app) askRules(ctx context.Context, d *dialFlags, ask func(ruleSource) error) (err error) {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	src, err := openRules(ctx, d, settings)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := src.close(); err == nil {
			err = closeErr
		}
	}()
	return ask(src)
}

func newRulesListCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rules in force",
		Example: `  bellhop rules list
  bellhop rules list -o json
  bellhop rules list --address https://bellhop.example.com --token "$TOKEN"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.askRules(cmd.Context(), &dial, func(src ruleSource) error {
				list, err := src.rules(cmd.Context())
				if err != nil {
					return err
				}
				if out.json() {
					return printJSON(a.stdout, list.Rules)
				}
				rows := [][]string{{"RULE", "ON", "WEBHOOKS", "ENABLED", "FILE"}}
				for _, r := range list.Rules {
					rows = append(rows, []string{
						r.Name, strings.Join(r.On, ","), strconv.Itoa(len(r.Webhooks)), yesNo(r.Enabled), place(r),
					})
				}
				if err := table(a.stdout, rows); err != nil {
					return err
				}
				printBroken(a, list.Problems)
				return nil
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	return cmd
}

// printBroken says on stderr that the files are not what is in force.
func printBroken(a *app, problems []api.Finding) {
	errs := 0
	for _, p := range problems {
		if p.Severity == "error" {
			errs++
		}
	}
	if errs > 0 {
		fmt.Fprintf(a.stderr, "the rule files have %s and are not in force: see bellhop rules check\n", count(errs, "error"))
	}
}

func newRulesShowCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show one rule in force",
		Example: `  bellhop rules show crm-completions
  bellhop rules show crm-completions -o json`,
		Args: countArgs(1, 1, "the name of one rule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askRules(cmd.Context(), &dial, func(src ruleSource) error {
				r, err := src.rule(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if out.json() {
					return printJSON(a.stdout, r)
				}
				return printRule(a, r)
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	cmd.ValidArgsFunction = a.complete(&dial, 1, ruleNames)
	return cmd
}

// printRule prints one rule for people, its source last.
func printRule(a *app, r api.Rule) error {
	rows := [][]string{{"rule", r.Name}}
	if r.Description != "" {
		rows = append(rows, []string{"description", r.Description})
	}
	rows = append(rows, []string{"on", strings.Join(r.On, ", ")}, []string{"enabled", yesNo(r.Enabled)}, []string{"file", place(r)})
	for _, w := range r.Webhooks {
		signed := ""
		if w.Signed {
			signed = ", signed"
		}
		rows = append(rows, []string{"webhook", fmt.Sprintf("%s: %s (timeout %s, retries %d%s)", w.Name, w.Endpoint, w.Timeout, w.Retries, signed)})
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if r.Source == "" {
		return nil
	}
	fmt.Fprintln(a.stdout)
	for line := range strings.SplitSeq(strings.TrimRight(r.Source, "\n"), "\n") {
		if _, err := fmt.Fprintln(a.stdout, oneLine(strings.TrimRight(line, "\r"))); err != nil {
			return err
		}
	}
	return nil
}

func place(r api.Rule) string { return fmt.Sprintf("%s:%d", r.File, r.Line) }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
