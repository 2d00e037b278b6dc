package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bellhop/config"
)

func newConfigCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show and check the configuration",
		Example: `  bellhop config show
  bellhop config check --config /etc/bellhop/bellhop.yaml`,
	}
	cmd.AddCommand(newConfigShowCmd(a), newConfigCheckCmd(a))
	return cmd
}

// load reads the configuration for the command that runs: defaults, --config's file, the environment, flags.
func (a *app) load() (*config.Loaded, error) {
	return config.Load(config.LoadOptions{File: a.configPath, Flags: a.flags})
}

// settings is the configuration in force. A broken one is an error that shows where to look.
func (a *app) settings() (*config.Settings, error) {
	loaded, err := a.load()
	if err != nil {
		return nil, a.configError(err)
	}
	return &loaded.Settings, nil
}

// configError hints at the command that lists what is wrong, with the same file.
func (a *app) configError(err error) error {
	var problems *config.Problems
	if errors.As(err, &problems) && len(problems.List) > 1 {
		err = fmt.Errorf("the configuration has %s:\n%w", count(len(problems.List), "error"), err)
	}
	switch {
	case problems != nil && !slices.ContainsFunc(problems.List, func(p config.Problem) bool { return p.Origin.Layer != config.FromFlag }):
		// Nothing is wrong but the command line: the command's own help says what belongs there.
		return usageError{err: err}
	case a.configPath == "":
		return withHint(err, "bellhop config check")
	}
	if _, statErr := os.Stat(a.configPath); statErr != nil {
		return withHint(err, "--config with a file that is there, or without it for the defaults")
	}
	return withHint(err, "bellhop config check --config "+shellWord(a.configPath))
}

// shellWord makes a name fit to be copied into a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+~", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func newConfigShowCmd(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show every key's value in force and where it was set, secrets masked",
		Example: `  bellhop config show
  bellhop config show --config /etc/bellhop/bellhop.yaml -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			loaded, err := a.load()
			if err != nil {
				return a.configError(err)
			}
			if out.json() {
				return printJSON(a.stdout, loaded.Entries())
			}
			rows := [][]string{{"KEY", "VALUE", "ORIGIN"}}
			for _, e := range loaded.Entries() {
				value := e.Text()
				if value == "" {
					value = `""`
				}
				rows = append(rows, []string{e.Path, value, e.Origin})
			}
			return table(a.stdout, rows)
		},
	}
	out.register(cmd)
	return cmd
}

// configFinding is one problem of the configuration, in the shape that programs read.
type configFinding struct {
	Origin   string `json:"origin"` // bellhop.yaml:7, env BELLHOP_NATS__URL, flag --nats.url
	Severity string `json:"severity"`
	Path     string `json:"path"`
	Text     string `json:"text"`
}

func newConfigCheckCmd(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration",
		Long: `Check reads the configuration (the file, the environment and the flags given here) and prints everything that is wrong
with it, one problem a line; the PEM files of delivery.lanes are read, where they are there. It ends with status 1 where there is an error. Rule files are rules check's.`,
		Example: `  bellhop config check
  bellhop config check --config /etc/bellhop/bellhop.yaml`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			errs, warnings, err := a.judge()
			if err != nil {
				return err
			}
			if out.json() {
				err := printJSON(a.stdout, append(configFindings(errs, "error"), configFindings(warnings, "warning")...))
				if err != nil {
					return err
				}
			} else {
				printConfigProblems(a, errs, warnings)
			}
			if len(errs) > 0 {
				return errFound
			}
			return nil
		},
	}
	out.register(cmd)
	return cmd
}

// judge reads the configuration and sorts what it finds: where there are errors there are no warnings yet.
func (a *app) judge() (errs, warnings []config.Problem, err error) {
	loaded, err := a.load()
	var problems *config.Problems
	switch {
	case err == nil:
		errs, warnings := checkLaneTLS(loaded)
		return errs, append(slices.Clone(loaded.Warnings), warnings...), nil
	case !errors.As(err, &problems):
		return nil, nil, err
	}
	errs = slices.Clone(problems.List)
	slices.SortStableFunc(errs, func(p, q config.Problem) int {
		return cmp.Or(
			cmp.Compare(p.Origin.Layer, q.Origin.Layer),
			cmp.Compare(p.Origin.Line, q.Origin.Line),
			cmp.Compare(p.Origin.Column, q.Origin.Column),
		)
	})
	return errs, nil, nil
}

func configFindings(problems []config.Problem, severity string) []configFinding {
	found := make([]configFinding, 0, len(problems))
	for _, p := range problems {
		found = append(found, configFinding{Origin: p.Origin.String(), Severity: severity, Path: p.Path, Text: p.Text})
	}
	return found
}

// printConfigProblems prints one problem a line on stdout and sums up on stderr.
func printConfigProblems(a *app, errs, warnings []config.Problem) {
	paint, sum := painter(a.stdout), painter(a.stderr)
	for _, p := range errs {
		fmt.Fprintln(a.stdout, configLine(p, paint(red, "error:")))
	}
	for _, p := range warnings {
		fmt.Fprintln(a.stdout, configLine(p, paint(yellow, "warning:")))
	}
	found := sum(green, "no errors")
	if len(errs) > 0 {
		found = sum(red, count(len(errs), "error"))
	}
	if len(warnings) > 0 {
		found += ", " + sum(yellow, count(len(warnings), "warning"))
	}
	fmt.Fprintf(a.stderr, "configuration: %s\n", found)
}

// configLine is a problem as rules check prints its own: file:line:column: error: path: text. In place of the file stands
// the variable or the flag.
func configLine(p config.Problem, severity string) string {
	where := p.Origin.Name
	switch {
	case p.Origin.Layer == config.FromFlag:
		where = "--" + where
	case p.Origin.Layer == config.FromFile && p.Origin.Line > 0:
		where = fmt.Sprintf("%s:%d:%d", where, p.Origin.Line, p.Origin.Column)
	case p.Origin.Layer == config.FromDefault:
		where = "default"
	}
	text := p.Text
	if p.Path != "" {
		text = p.Path + ": " + text
	}
	return oneLine(where) + ": " + severity + " " + oneLine(text)
}
