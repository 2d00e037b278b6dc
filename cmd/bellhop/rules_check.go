package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/rule"
)

func newRulesCheckCmd(a *app) *cobra.Command {
	var (
		out       output
		noSecrets bool
		strict    bool
		verbose   bool
	)
	cmd := &cobra.Command{
		Use:   "check [PATH...]",
		Short: "Check rule files",
		Long: `Check reads rule files (those of the configuration where no PATH is given) and prints everything that is wrong with
them, one problem a line: file:line:column: error: text, or warning:. It ends with status 1 where there is an error. On
standard error it shows the URLs that go out in another spelling than they were written in, with -v every one; -o json
has them all, beside the problems.`,
		Example: `  bellhop rules check
  bellhop rules check ./rules/crm.yaml
  bellhop rules check --no-secrets --strict -o json ./rules`,
		RunE: func(_ *cobra.Command, args []string) error {
			settings, err := a.settings()
			if err != nil {
				return err
			}
			files := loadRules(settings, args, !noSecrets)
			if out.json() {
				report := checkReport{Problems: api.Findings(files.problems), Webhooks: outgoing(files)}
				if err := printJSON(a.stdout, report); err != nil {
					return err
				}
			} else {
				printProblems(a.stdout, files.problems)
				printEndpoints(a, outgoing(files), verbose)
			}
			errs, warnings := countProblems(files.problems, rule.Error), countProblems(files.problems, rule.Warning)
			printVerdict(a, files.defs, errs, warnings)
			if errs > 0 || strict && warnings > 0 {
				return errFound
			}
			return nil
		},
	}
	out.register(cmd)
	cmd.Flags().BoolVar(&noSecrets, "no-secrets", false, "resolve no secrets, and warn of each: for where they are not at hand")
	cmd.Flags().BoolVar(&strict, "strict", false, "end with status 1 on warnings too")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "show every webhook's URL as it goes out, not only those that are encoded")
	return cmd
}

// checkReport is what check finds, in the shape that programs read.
type checkReport struct {
	Problems []api.Finding `json:"problems"`
	Webhooks []outgoingURL `json:"webhooks"` // in file order; none where there is an error
}

// outgoingURL is the URL that a webhook goes to.
type outgoingURL struct {
	Rule     string `json:"rule"`
	Webhook  string `json:"webhook"`
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Endpoint string `json:"endpoint"` // as written
	URL      string `json:"url"`      // as it goes out, secrets as ${NAME}
}

// outgoing lists the URLs of all webhooks.
func outgoing(files ruleFiles) []outgoingURL {
	urls := []outgoingURL{}
	if files.set == nil {
		return urls
	}
	written := make(map[[2]string]rule.Scalar)
	for _, r := range files.defs.Rules {
		for i, w := range r.Webhooks {
			name := w.Name.Text
			if w.Name.Type == rule.Absent {
				name = fmt.Sprintf("webhook-%d", i+1)
			}
			written[[2]string{r.Name.Text, name}] = w.Endpoint
		}
	}
	for _, r := range files.set.Rules {
		for _, w := range r.Webhooks {
			from := written[[2]string{r.Name, w.Name}]
			urls = append(urls, outgoingURL{
				Rule: r.Name, Webhook: w.Name, File: from.Pos.File, Line: from.Pos.Line, Column: from.Pos.Column,
				Endpoint: from.Text, URL: w.Endpoint,
			})
		}
	}
	return urls
}

// printEndpoints shows, on stderr, the URLs that go out in another spelling than they were written in. They are no
// problems, so they are kept off the lines that programs read.
func printEndpoints(a *app, urls []outgoingURL, all bool) {
	paint := painter(a.stderr)
	for _, u := range urls {
		if all || u.Endpoint != u.URL {
			pos := rule.Pos{File: u.File, Line: u.Line, Column: u.Column}
			fmt.Fprintf(a.stderr, "%s %s %s/%s goes to %s\n", placeOf(pos), paint(cyan, "note:"), u.Rule, u.Webhook, u.URL)
		}
	}
}

// printVerdict sums up on stderr.
func printVerdict(a *app, defs *rule.Definitions, errs, warnings int) {
	hooks := 0
	for _, r := range defs.Rules {
		hooks += len(r.Webhooks)
	}
	paint := painter(a.stderr)
	found := paint(green, "no errors")
	if errs > 0 {
		found = paint(red, count(errs, "error"))
	}
	switch {
	case warnings > 0:
		found += ", " + paint(yellow, count(warnings, "warning"))
	case errs == 0:
		found = paint(green, "no errors, no warnings")
	}
	fmt.Fprintf(a.stderr, "%s, %s, %s: %s\n", count(len(defs.Files), "file"), count(len(defs.Rules), "rule"), count(hooks, "webhook"), found)
}
