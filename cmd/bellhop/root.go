package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"bellhop/config"
)

// app is what all commands of one command line share.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	configPath string         // --config; "" means bellhop.yaml where there is one
	flags      *pflag.FlagSet // of the command that runs, parsed; nil before one does
	started    bool           // a command's own code has begun: errors from here on are no usage errors unless they say so
}

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "bellhop",
		Short: "Send webhooks for learning-platform events on NATS JetStream",
		Long: `Bellhop subscribes to learning-platform events on NATS JetStream, matches them against rules that
operators keep in YAML, POSTs form-encoded webhooks, and publishes what became of each one back to the bus.

Every key of the configuration is also a flag of every command (--nats.url) and an environment variable
(BELLHOP_NATS__URL): bellhop config show lists them.`,
		Example: `  bellhop rules check ./rules
  bellhop rules test --event event.json --type course.completed
  bellhop events publish --type course.completed event.json`,
		Version:           buildVersion(),
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)

	flags := root.PersistentFlags()
	flags.StringVar(&a.configPath, "config", "", "the configuration `FILE` (default bellhop.yaml where there is one)")
	_ = root.MarkPersistentFlagFilename("config", "yaml", "yml")
	addKeyFlags(flags)

	root.AddCommand(
		newConfigCmd(a),
		newServeCmd(a),
		newDemoCmd(a),
		newEventsCmd(a),
		newRulesCmd(a),
		newSchemaCmd(a),
		newDeliveriesCmd(a),
		newLanesCmd(a),
		newCompletionCmd(a),
		newVersionCmd(a),
	)
	root.SetVersionTemplate("bellhop {{.Version}}\n")
	root.SetHelpCommand(newHelpCmd(root))
	// A group runs only to show its help: its usage is that of its commands.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(),
		"{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1))
	// What follows a misspelt command is no flag of the group's: the command is what is wrong.
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if before := cmd.Flags().Args(); cmd.HasSubCommands() && len(before) > 0 {
			return knownSubcommand(cmd, before)
		}
		return err
	})
	finish(root, a)
	return root
}

// addKeyFlags adds a flag for every key of the configuration. They work on every command, and are shown by the
// commands that add them anew to their own flags: some fifty of them would bury the few that most commands have.
func addKeyFlags(persistent *pflag.FlagSet) {
	keys := pflag.NewFlagSet("keys", pflag.ContinueOnError)
	config.RegisterFlags(keys)
	keys.VisitAll(func(f *pflag.Flag) {
		f.Hidden = true
		f.Shorthand = ""
		if persistent.Lookup(f.Name) == nil {
			persistent.AddFlag(f)
		}
	})
	if normalize := keys.GetNormalizeFunc(); normalize != nil {
		persistent.SetNormalizeFunc(normalize)
	}
}

// finish gives every command what all of them have: groups that only hold other commands judge their arguments, and
// an error is a usage error until a command's own code has begun.
func finish(cmd *cobra.Command, a *app) {
	if cmd.HasSubCommands() && !cmd.Runnable() {
		cmd.Args = knownSubcommand
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	if normalize := cmd.Root().PersistentFlags().GetNormalizeFunc(); normalize != nil {
		cmd.Flags().SetNormalizeFunc(normalize)
	}
	if body := cmd.RunE; body != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.started, a.flags = true, cmd.Flags()
			return body(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		finish(sub, a)
	}
}

// knownSubcommand refuses what follows a group and is none of its commands.
func knownSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		return withHint(err, cmd.CommandPath()+" "+near[0])
	}
	return withHint(err, cmd.CommandPath()+" --help")
}

// newHelpCmd replaces cobra's own, which ends with status 0 on a topic that is not there.
func newHelpCmd(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND...]",
		Short:   "Show the help of a command",
		Example: `  bellhop help rules test`,
		RunE: func(_ *cobra.Command, args []string) error {
			target, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return withHint(usagef("unknown help topic %q", strings.Join(args, " ")), "bellhop --help")
			}
			return target.Help()
		},
	}
}

// noArgs refuses arguments with a sentence that says which.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// countArgs wants between low and high arguments of the given description.
func countArgs(low, high int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return fmt.Errorf("%s needs %s", cmd.CommandPath(), what)
		case len(args) > high:
			return fmt.Errorf("%s takes %s, got %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}
