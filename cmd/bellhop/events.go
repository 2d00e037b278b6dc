package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"bellhop/dispatcher/event"
	"bellhop/template"
)

func newEventsCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "List event types, and publish events",
		Example: `  bellhop events types
  bellhop events publish --type course.completed event.json`,
	}
	cmd.AddCommand(newEventsTypesCmd(a), newEventsPublishCmd(a))
	return cmd
}

// eventType is one type of the catalogue with the variables that its events conventionally fill.
type eventType struct {
	Type      string     `json:"type"`
	Entity    string     `json:"entity"`
	Action    string     `json:"action"`
	Variables []variable `json:"variables"`
}

// variable is one short name of the catalogue.
type variable struct {
	Name  string   `json:"name"`  // with its @
	Reads []string `json:"reads"` // the paths tried, in order
	Doc   string   `json:"doc"`
}

func newEventsTypesCmd(a *app) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "types",
		Short: "List the catalogue of event types and variables",
		Long: `Types lists the event types of the catalogue, and the variables that parameter values may use. A type outside the
catalogue works too: rules check warns of it, since it is more often a slip than a new type.`,
		Example: `  bellhop events types
  bellhop events types -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			types := catalogue()
			if out.json() {
				return printJSON(a.stdout, types)
			}
			return printTypes(a, types)
		},
	}
	out.register(cmd)
	return cmd
}

// catalogue joins the event types with their variables, in documentation order.
func catalogue() []eventType {
	var types []eventType
	for _, entity := range event.Catalogue() {
		vars := variablesOf(entity.Name)
		for _, action := range entity.Actions {
			types = append(types, eventType{
				Type: entity.Name + "." + action, Entity: entity.Name, Action: action, Variables: vars,
			})
		}
	}
	return types
}

// variablesOf lists the short names that an entity's events conventionally fill: the envelope's, the user's, the
// account's, the entity's own, and the course's where the entity is part of one.
func variablesOf(entity string) []variable {
	roots := []string{"event", "user", "account", entity}
	if entity != "account" {
		roots = append(roots, "course")
	}
	vars := []variable{}
	for _, n := range template.Catalogue() {
		if slices.ContainsFunc(n.Reads, func(path string) bool {
			root, _, nested := strings.Cut(path, ".")
			return slices.Contains(roots, root) || !nested && entity == "assessment"
		}) {
			vars = append(vars, variable{Name: "@" + n.Name, Reads: n.Reads, Doc: n.Doc})
		}
	}
	return vars
}

// printTypes prints the types, an entity a line, and then the variables.
func printTypes(a *app, types []eventType) error {
	paint := painter(a.stdout)
	fmt.Fprintln(a.stdout, paint(bold, "Event types"))
	for _, t := range types {
		fmt.Fprintf(a.stdout, "  %s\n", t.Type)
	}
	fmt.Fprintf(a.stdout, "\n%s\n", paint(bold, "Variables"))
	var rows [][]string
	for _, n := range template.Catalogue() {
		rows = append(rows, []string{"  @" + n.Name, strings.Join(n.Reads, ", "), n.Doc})
	}
	return table(a.stdout, rows)
}
