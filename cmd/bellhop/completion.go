package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"bellhop/dispatcher/event"
)

func newCompletionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a shell's completion script",
		Example: `  source <(bellhop completion bash)
  bellhop completion bash > /etc/bash_completion.d/bellhop
  bellhop completion zsh > "${fpath[1]}/_bellhop"
  bellhop completion fish > ~/.config/fish/completions/bellhop.fish`,
		Args: func(cmd *cobra.Command, args []string) error {
			if err := countArgs(1, 1, "one shell: bash, zsh or fish")(cmd, args); err != nil {
				return err
			}
			switch args[0] {
			case "bash", "zsh", "fish":
				return nil
			}
			return fmt.Errorf("no completion for %q: bash, zsh or fish", args[0])
		},
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch args[0] {
			case "zsh":
				return cmd.Root().GenZshCompletion(a.stdout)
			case "fish":
				return cmd.Root().GenFishCompletion(a.stdout, true)
			default:
				return cmd.Root().GenBashCompletionV2(a.stdout, true)
			}
		},
	}
}

// addTypeFlag gives a command its --type, completed from the catalogue.
func addTypeFlag(cmd *cobra.Command, to *string, usage string) {
	cmd.Flags().StringVar(to, "type", "", usage)
	_ = cmd.RegisterFlagCompletionFunc("type", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return event.Types(), cobra.ShellCompDirectiveNoFileComp
	})
}

// complete offers what ask finds, for an argument at one of the first most places. A shell must never be kept waiting or
// be told of errors: where nothing answers there is nothing to offer.
func (a *app) complete(dial *dialFlags, most int, ask func(context.Context, ruleSource) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		a.flags = cmd.Flags()
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		var found []string
		_ = a.askRules(ctx, dial, func(src ruleSource) (err error) {
			found, err = ask(ctx, src)
			return err
		})
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// ruleNames are the names of the rules in force.
func ruleNames(ctx context.Context, src ruleSource) ([]string, error) {
	list, err := src.rules(ctx)
	names := make([]string, 0, len(list.Rules))
	for _, r := range list.Rules {
		names = append(names, cobra.CompletionWithDesc(r.Name, r.Description))
	}
	return names, err
}

// versionNumbers are the numbers of the versions in the history.
func versionNumbers(ctx context.Context, src ruleSource) ([]string, error) {
	list, err := src.versions(ctx)
	numbers := make([]string, 0, len(list))
	for _, v := range list {
		numbers = append(numbers, cobra.CompletionWithDesc(strconv.FormatUint(v.Number, 10), since(v)))
	}
	return numbers, err
}

// checkType wants dot-separated tokens that a subject can hold.
func checkType(eventType string) error {
	bad := func(why string) error {
		return withHint(usagef("--type %q %s", eventType, why), "bellhop events types")
	}
	token := 0
	for i := 0; i < len(eventType); i++ {
		switch c := eventType[i]; {
		case c == '.':
			if token == 0 {
				return bad("has an empty token")
			}
			token = 0
			continue
		case c == '*' || c == '>':
			return bad("has a wildcard: one event has one type")
		case c <= ' ' || c == 0x7f:
			return bad("has a space or a control character")
		}
		token++
	}
	if token == 0 {
		return bad("has an empty token")
	}
	return nil
}
