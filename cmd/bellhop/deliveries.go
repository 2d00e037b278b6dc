package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/store"
)

func newDeliveriesCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "deliveries",
		Aliases: []string{"delivery"},
		Short:   "See what became of webhooks, send failed ones again, call off what is scheduled",
		Example: `  bellhop deliveries list --failed --since 1h
  bellhop deliveries show 5f0c9e0a4d1b4b6f8e3a2c1d0f9e8d7c
  bellhop deliveries retry --failed --since 1h --rule crm-completions`,
	}
	cmd.AddCommand(newDeliveriesListCmd(a), newDeliveriesShowCmd(a), newDeliveriesTailCmd(a), newDeliveriesPendingCmd(a),
		newDeliveriesRetryCmd(a), newDeliveriesCancelCmd(a), newDeliveriesRebuildCmd(a))
	return cmd
}

// filterFlags say which deliveries are meant.
type filterFlags struct {
	filter       api.Filter
	failed       bool
	since, until string
}

// names adds the flags that every listing has.
func (f *filterFlags) names(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.filter.Rule, "rule", nil, "of this `RULE` only")
	flags.StringSliceVar(&f.filter.Endpoint, "endpoint", nil, "to this `URL` only; a trailing * takes what begins so")
	flags.StringSliceVar(&f.filter.Type, "type", nil, "of events of this `TYPE` only; a trailing * takes what begins so")
}

// history adds the flags of what has been recorded.
func (f *filterFlags) history(cmd *cobra.Command) {
	f.names(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&f.filter.Webhook, "webhook", nil, "of this `RULE/WEBHOOK` only")
	flags.StringSliceVar(&f.filter.Kind, "kind", nil, "with this `KIND` of error only: timeout, network, tls, status, blocked, ...")
	flags.StringVar(&f.filter.Q, "id", "", "of this delivery, event or user only, by its whole `ID`")
	flags.StringVar(&f.since, "since", "", "not older than this `TIME`: 15m, 24h, 7d, or RFC 3339")
	flags.StringVar(&f.until, "until", "", "older than this `TIME`")
}

// read checks the flags.
func (f *filterFlags) read() (*api.Filter, error) {
	f.filter.From, f.filter.To = f.since, f.until
	if f.failed {
		if len(f.filter.Outcome) > 0 {
			return nil, usagef("--failed and --outcome exclude each other: --failed is --outcome failed")
		}
		f.filter.Outcome = append(f.filter.Outcome, "failed")
	}
	if _, err := console.QueryOf(&f.filter, time.Now()); err != nil {
		text := err.Error()
		for param, flag := range map[string]string{"from": "--since", "to": "--until", "q": "--id", "outcome": "--outcome", "kind": "--kind"} {
			if rest, ok := strings.CutPrefix(text, param+": "); ok {
				text = flag + ": " + rest
			}
		}
		return nil, usagef("%s", text)
	}
	return &f.filter, nil
}

// checkID refuses what is no delivery's id before anybody is asked.
func checkID(id string) error {
	if _, ok := store.DeliveryHash(id); !ok {
		return withHint(usagef("%q is no delivery's id, which has 32 hexadecimal digits", id), "bellhop deliveries list")
	}
	return nil
}

// askDeliveries answers by the daemon where one runs, else from the store and the bus.
func (a *app) askDeliveries(ctx context.Context, dial *dialFlags, fn func(deliverySource) error) (err error) {
	settings, err := a.settings()
	if err != nil {
		return err
	}
	src, err := a.openDeliveries(ctx, dial, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	return fn(src)
}

func newDeliveriesListCmd(a *app) *cobra.Command {
	var (
		out   output
		dial  dialFlags
		f     filterFlags
		limit int
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List outcomes, newest first",
		Long: `List shows one line for each attempt that was made, of all daemons, newest first. Where no daemon runs it reads the store and the bus
itself.`,
		Example: `  bellhop deliveries list
  bellhop deliveries list --failed --since 1h --rule crm-completions
  bellhop deliveries list --id 4711 -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.read()
			if err != nil {
				return err
			}
			if limit < 1 || limit > maxListed {
				return usagef("--limit %d: 1 to %d are wanted", limit, maxListed)
			}
			return a.askDeliveries(cmd.Context(), &dial, func(src deliverySource) error {
				items, more, err := collect(cmd.Context(), src, filter, limit)
				if err != nil {
					return err
				}
				if out.json() {
					return printJSON(a.stdout, items)
				}
				if err := printOutcomes(a, items); err != nil {
					return err
				}
				if more && terminal(a.stdout) {
					fmt.Fprintf(a.stdout, "there are more: --limit %d\n", min(10*limit, maxListed))
				}
				return nil
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	f.history(cmd)
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only those that failed for good")
	cmd.Flags().StringSliceVar(&f.filter.Outcome, "outcome", nil, "only with this `OUTCOME`: delivered, retrying, failed, rejected, errors")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most `N`")
	a.completeRules(cmd, &dial)
	return cmd
}

// maxListed bounds one listing.
const maxListed = 100_000

// collect reads pages until there are enough; more tells whether others follow.
func collect(ctx context.Context, src deliverySource, f *api.Filter, limit int) (items []api.Outcome, more bool, err error) {
	items = []api.Outcome{}
	cursor := ""
	for {
		list, err := src.list(ctx, f, min(500, limit-len(items)), cursor)
		if err != nil {
			return nil, false, err
		}
		items = append(items, list.Items...)
		if list.Next == "" || len(items) >= limit {
			return items, list.Next != "", nil
		}
		cursor = list.Next
	}
}

// printOutcomes prints outcomes as a table.
func printOutcomes(a *app, items []api.Outcome) error {
	if len(items) == 0 {
		_, err := fmt.Fprintln(a.stdout, "no outcomes")
		return err
	}
	rows := [][]string{{"TIME", "OUTCOME", "DELIVERY", "RULE", "WEBHOOK", "TYPE", "ATTEMPT", "RESULT"}}
	for _, o := range items {
		rows = append(rows, outcomeRow(o))
	}
	return table(a.stdout, rows)
}

func outcomeRow(o api.Outcome) []string {
	return []string{
		o.At.Local().Format(time.DateTime), o.Outcome, dash(o.DeliveryID), dash(o.Rule), dash(o.Webhook), o.EventType, attemptText(o), resultText(o),
	}
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// attemptText gives 2/11, or 1/11 (run 2).
func attemptText(o api.Outcome) string {
	switch {
	case o.Attempt == 0:
		return "-"
	case o.Run > 1:
		return fmt.Sprintf("%d/%d (run %d)", o.Attempt, o.MaxAttempts, o.Run)
	}
	return fmt.Sprintf("%d/%d", o.Attempt, o.MaxAttempts)
}

// resultText says what an attempt came to.
func resultText(o api.Outcome) string {
	text := ""
	switch {
	case o.Error != nil && o.Error.Kind == "status":
		text = o.Error.Message
	case o.Error != nil:
		text = o.Error.Kind + ": " + o.Error.Message
	case o.Status > 0:
		text = strconv.Itoa(o.Status)
		if o.DurationMS != nil {
			text += fmt.Sprintf(" in %.0f ms", *o.DurationMS)
		}
	}
	if o.NextAttemptAt != nil {
		text += ", next at " + o.NextAttemptAt.Local().Format(time.TimeOnly)
	}
	return text
}

func newDeliveriesShowCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
	)
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show one delivery to its end: every attempt, what is to come, and the event",
		Example: `  bellhop deliveries show 5f0c9e0a4d1b4b6f8e3a2c1d0f9e8d7c`,
		Args:    countArgs(1, 1, "one delivery's ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkID(args[0]); err != nil {
				return err
			}
			return a.askDeliveries(cmd.Context(), &dial, func(src deliverySource) error {
				one, err := src.show(cmd.Context(), args[0])
				if notFound(err) {
					return withHint(err, "bellhop deliveries list")
				}
				if err != nil {
					return err
				}
				if out.json() {
					return printJSON(a.stdout, one)
				}
				printDelivery(a, one)
				return nil
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	return cmd
}

// printDelivery prints a delivery for people.
func printDelivery(a *app, one api.Delivery) {
	paint := painter(a.stdout)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(a.stdout, "%-10s %s\n", name, oneLine(value))
		}
	}
	line("delivery", one.DeliveryID)
	if n := len(one.Outcomes); n > 0 {
		o := one.Outcomes[n-1]
		line("webhook", o.Rule+"/"+o.Webhook)
		line("endpoint", o.Endpoint)
		line("event", fmt.Sprintf("%s %s (sequence %d)", o.EventType, o.EventID, o.EventSeq))
		line("rules", o.RulesVersion)
	} else if p := one.Pending; p != nil {
		line("webhook", p.Rule+"/"+p.Webhook)
		line("endpoint", p.Endpoint)
		line("event", fmt.Sprintf("%s %s (sequence %d)", p.EventType, p.EventID, p.EventSeq))
	}
	for _, o := range one.Outcomes {
		color := green
		switch o.Outcome {
		case "retrying":
			color = yellow
		case "failed", "rejected":
			color = red
		}
		fmt.Fprintf(a.stdout, "\n%s  %s  attempt %s  %s\n", o.At.Local().Format(time.DateTime), paint(color, o.Outcome), attemptText(o), oneLine(resultText(o)))
		if o.Response != nil && o.Response.Body != "" {
			fmt.Fprintf(a.stdout, "    response: %s\n", oneLine(o.Response.Body))
		}
		if o.Request != nil && o.Request.Body != "" {
			fmt.Fprintf(a.stdout, "    request:  %s\n", oneLine(o.Request.Body))
		}
	}
	if p := one.Pending; p != nil {
		fmt.Fprintf(a.stdout, "\nattempt %d of run %d is %s\n", p.Attempt, p.Run, untilText(*p))
	}
	if one.Event != nil && len(one.Event.Data) > 0 {
		fmt.Fprintf(a.stdout, "\n%s\n", oneLine(string(one.Event.Data)))
	}
}

// untilText says where an attempt to come is, and until when.
func untilText(p api.Pending) string {
	switch {
	case p.State == "waiting":
		return "waiting for room in its lane"
	case p.State == "due", p.Due == nil:
		return "due"
	}
	return fmt.Sprintf("scheduled for %s (in %s)", p.Due.Local().Format(time.DateTime), time.Until(*p.Due).Round(time.Second))
}

func newDeliveriesPendingCmd(a *app) *cobra.Command {
	var (
		out   output
		dial  dialFlags
		f     filterFlags
		state []string
		limit int
	)
	cmd := &cobra.Command{
		Use:   "pending",
		Short: "List what is scheduled or waiting, and until when",
		Long: `Pending lists the attempts to come, soonest first: those that are scheduled for a time, those that are due, and those that wait for
room in their lane. Where no daemon runs it asks the bus itself.`,
		Example: `  bellhop deliveries pending
  bellhop deliveries pending --rule crm-completions --state scheduled -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > pendingRead {
				return usagef("--limit %d: 1 to %d are wanted", limit, pendingRead)
			}
			for _, s := range state {
				if s != "scheduled" && s != "due" && s != "waiting" {
					return usagef("--state %q is none of scheduled, due, waiting", s)
				}
			}
			return a.askDeliveries(cmd.Context(), &dial, func(src deliverySource) error {
				items := []api.Pending{}
				var list api.PendingList
				for next := ""; len(items) < limit; next = list.Next {
					var err error
					list, err = src.pending(cmd.Context(), console.PendingQuery{
						States: state, Rules: f.filter.Rule, Endpoints: f.filter.Endpoint, Types: f.filter.Type, Limit: min(500, limit-len(items)), After: next,
					})
					if err != nil {
						return err
					}
					items = append(items, list.Items...)
					if list.Next == "" {
						break
					}
				}
				if out.json() {
					return printJSON(a.stdout, items)
				}
				return printPending(a, items, list)
			})
		},
	}
	out.register(cmd)
	dial.register(cmd)
	f.names(cmd)
	cmd.Flags().StringSliceVar(&state, "state", nil, "only in this `STATE`: scheduled, due, waiting")
	cmd.Flags().IntVar(&limit, "limit", 50, "show at most `N`")
	a.completeRules(cmd, &dial)
	return cmd
}

func printPending(a *app, items []api.Pending, list api.PendingList) error {
	if len(items) == 0 {
		_, err := fmt.Fprintln(a.stdout, "nothing is scheduled or waiting")
		return err
	}
	rows := [][]string{{"UNTIL", "DELIVERY", "RULE", "WEBHOOK", "TYPE", "ATTEMPT", "LAST ERROR"}}
	for _, p := range items {
		last := "-"
		if p.Error != nil {
			last = p.Error.Kind + ": " + p.Error.Message
		}
		rows = append(rows, []string{
			untilText(p), p.DeliveryID, p.Rule, p.Webhook, p.EventType,
			attemptText(api.Outcome{Attempt: p.Attempt, MaxAttempts: p.MaxAttempts, Run: p.Run}), last,
		})
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	if list.Total > len(items) {
		fmt.Fprintf(a.stdout, "%d of %d\n", len(items), list.Total)
	}
	return nil
}

// completeRules completes --rule with the rules in force.
func (a *app) completeRules(cmd *cobra.Command, dial *dialFlags) {
	_ = cmd.RegisterFlagCompletionFunc("rule", func(cmd *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
		return a.complete(dial, 1, ruleNames)(cmd, nil, text)
	})
}
