package main

import (
	"github.com/spf13/cobra"

	"bellhop/config"
)

func newSchemaCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print JSON Schemas of rule files, the configuration and events",
		Long: `Schema prints JSON Schemas (2020-12), for editors that complete and check YAML and for those who publish events. Rules check
and config check find more: a schema knows no names that stand twice, and no expressions.`,
		Example: `  bellhop schema rules > rules.schema.json
  bellhop schema config > config.schema.json
  bellhop schema event | jq '."$defs".data'`,
	}
	for _, of := range []struct {
		name, short string
		schema      func() map[string]any
	}{
		{"rules", "Print the JSON Schema of rule files", config.RulesSchema},
		{"config", "Print the JSON Schema of the configuration", config.SettingsSchema},
		{"event", "Print the JSON Schema of events", config.EventSchema},
	} {
		var out output
		sub := &cobra.Command{
			Use:     of.name,
			Short:   of.short,
			Example: "  bellhop schema " + of.name + " > " + of.name + ".schema.json",
			Args:    noArgs,
			RunE:    func(*cobra.Command, []string) error { return printJSON(a.stdout, of.schema()) },
		}
		out.register(sub)
		cmd.AddCommand(sub)
	}
	return cmd
}
