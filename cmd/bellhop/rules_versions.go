package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
)

func newRulesHistoryCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List the versions of the rules, newest first",
		Example: `  bellhop rules history
  bellhop rules history -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.askRules(cmd.Context(), &dial, func(src ruleSource) error {
				list, err := src.versions(cmd.Context())
				if err != nil {
					return err
				}
				if out.json() {
					if list == nil {
						list = []api.Version{}
					}
					return printJSON(a.stdout, list)
				}
				rows := [][]string{{"VERSION", "DIGEST", "IN FORCE SINCE", "ORIGIN", "RULES", "WEBHOOKS"}}
				for _, v := range list {
					rows = append(rows, []string{
						strconv.FormatUint(v.Number, 10), v.Digest, since(v), origin(v), strconv.Itoa(v.Rules), strconv.Itoa(v.Webhooks),
					})
				}
				return table(a.stdout, rows)
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	return cmd
}

func since(v api.Version) string {
	at := v.At.UTC().Format(time.RFC3339)
	if v.Current {
		at += " (now)"
	}
	return at
}

func origin(v api.Version) string {
	if v.Of != 0 {
		return fmt.Sprintf("%s to %d", v.Origin, v.Of)
	}
	return v.Origin
}

func newRulesDiffCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "diff [V] [W]",
		Short: "Show what changed between versions of the rules",
		Long: `Diff shows as a unified diff what changed from the version before to the one in force; from version V to the one in
force; or from version V to version W. A version is its number, or the beginning of its digest.`,
		Example: `  bellhop rules diff
  bellhop rules diff 3
  bellhop rules diff 3 9f1c2a`,
		Args: countArgs(0, 2, "two versions at most"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.askRules(cmd.Context(), &dial, func(src ruleSource) error {
				from, to, err := pickVersions(cmd.Context(), src, args)
				if err != nil {
					return err
				}
				diffs := diffVersions(from, to)
				if out.json() {
					return printJSON(a.stdout, struct {
						From  uint64     `json:"from"`
						To    uint64     `json:"to"`
						Files []fileDiff `json:"files"`
					}{from.Number, to.Number, diffs})
				}
				if len(diffs) == 0 {
					fmt.Fprintf(a.stderr, "versions %d and %d have the same files\n", from.Number, to.Number)
				}
				return printDiffs(a.stdout, diffs)
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	cmd.ValidArgsFunction = a.complete(&dial, 2, versionNumbers)
	return cmd
}

// pickVersions fetches the two versions that diff's arguments mean.
func pickVersions(ctx context.Context, src ruleSource, args []string) (from, to api.Version, err error) {
	var refs [2]string
	copy(refs[:], args)
	if len(args) < 2 {
		list, err := src.versions(ctx)
		if err != nil {
			return from, to, err
		}
		current, before := neighbours(list)
		if current == nil {
			return from, to, withHint(errors.New("no version of the rules is in force yet"), "bellhop serve")
		}
		if len(args) == 0 {
			if before == nil {
				return from, to, withHint(fmt.Errorf("version %d is the only one", current.Number), "bellhop rules history")
			}
			refs[0] = strconv.FormatUint(before.Number, 10)
		}
		refs[1] = strconv.FormatUint(current.Number, 10)
	}
	if from, err = src.version(ctx, refs[0]); err != nil {
		return from, to, err
	}
	to, err = src.version(ctx, refs[1])
	return from, to, err
}

// neighbours finds the version in force and the one before it, in a list that is newest first.
func neighbours(list []api.Version) (current, before *api.Version) {
	for i := range list {
		if !list[i].Current {
			continue
		}
		if i+1 < len(list) {
			before = &list[i+1]
		}
		return &list[i], before
	}
	return nil, nil
}

func newRulesRollbackCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:   "rollback V",
		Short: "Put an older version of the rules in force",
		Long: `Rollback puts an older version in force on the daemon that is asked, at once. It survives a restart, and holds until the
rule files next change. A version is its number, or the beginning of its digest.`,
		Example: `  bellhop rules history
  bellhop rules rollback 3`,
		Args: countArgs(1, 1, "one version"),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := a.settings()
			if err != nil {
				return err
			}
			c, err := dial.client(settings)
			if err != nil {
				return err
			}
			var v api.Version
			err = c.post(cmd.Context(), api.RollbackPath, api.Rollback{Version: strings.TrimSpace(args[0])}, &v)
			if err != nil {
				return hintVersions(err)
			}
			if out.json() {
				return printJSON(a.stdout, v)
			}
			_, err = fmt.Fprintf(a.stdout, "version %d (%s) is in force, until the rule files next change\n", v.Number, v.Digest)
			return err
		},
	}
	out.register(cmd)
	dial.register(cmd)
	cmd.ValidArgsFunction = a.complete(&dial, 1, versionNumbers)
	return cmd
}
