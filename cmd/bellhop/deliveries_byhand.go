package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
)

// byHandFlags are those of commands that change deliveries.
type byHandFlags struct {
	out  output
	dial dialFlags
	f    filterFlags
	yes  bool
}

// handled is what became of one delivery, in the shape that programs read.
type handled struct {
	DeliveryID string `json:"delivery_id"`
	Run        int    `json:"run,omitempty"`
	Attempt    int    `json:"attempt,omitempty"`
	Error      string `json:"error,omitempty"`
}

func newDeliveriesRetryCmd(a *app) *cobra.Command {
	var o byHandFlags
	cmd := &cobra.Command{
		Use:   "retry [ID...] | retry --failed [--since TIME] [--rule RULE]",
		Short: "Send failed deliveries again",
		Long: `Retry sends failed deliveries again: the body as it was first rendered, to the endpoint and with the headers and secrets now in force,
under the same webhook-id, as a new run with all its attempts. Each is sent once, however often that is asked for.

With --failed it takes all whose last outcome is failed and that the other flags choose. It tells how many that are, and on a terminal asks
whether to go on.`,
		Example: `  bellhop deliveries retry 5f0c9e0a4d1b4b6f8e3a2c1d0f9e8d7c
  bellhop deliveries retry --failed --since 1h
  bellhop deliveries retry --failed --since 24h --rule crm-completions --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && !o.f.failed:
				return withHint(usagef("an ID is missing, or --failed for all that failed"), "bellhop deliveries list --failed")
			case len(args) > 0 && o.chosen(cmd):
				return usagef("IDs and --failed do not go together")
			}
			filter, err := o.f.read()
			if err != nil {
				return err
			}
			filter.Outcome = nil
			return a.byHand(cmd.Context(), &o, "retry", "sent again", args, filter)
		},
	}
	o.register(cmd)
	o.f.history(cmd)
	cmd.Flags().BoolVar(&o.f.failed, "failed", false, "all that failed, as the other flags choose")
	a.completeRules(cmd, &o.dial)
	return cmd
}

func newDeliveriesCancelCmd(a *app) *cobra.Command {
	var (
		o   byHandFlags
		all bool
	)
	cmd := &cobra.Command{
		Use:   "cancel [ID...] | cancel --all [--rule RULE] [--endpoint URL]",
		Short: "Call off next attempts that are scheduled or waiting",
		Long: `Cancel calls off a delivery's next attempt, which ends the delivery as failed, of kind cancelled. Where the attempt was made meanwhile, its
outcome stands. A cancelled delivery can be sent again with retry.

With --all it takes all that is scheduled or waiting and that the other flags choose. It tells how many that are, and on a terminal asks whether
to go on.`,
		Example: `  bellhop deliveries cancel 5f0c9e0a4d1b4b6f8e3a2c1d0f9e8d7c
  bellhop deliveries cancel --all --rule crm-completions
  bellhop deliveries cancel --all --endpoint 'https://crm.example.com/*' --yes`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0 && !all:
				return withHint(usagef("an ID is missing, or --all for all that is scheduled or waiting"), "bellhop deliveries pending")
			case len(args) > 0 && (all || o.chosen(cmd)):
				return usagef("IDs and --all do not go together")
			}
			filter, err := o.f.read()
			if err != nil {
				return err
			}
			return a.byHand(cmd.Context(), &o, "cancel", "cancelled", args, filter)
		},
	}
	o.register(cmd)
	o.f.names(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "all that is scheduled or waiting, as the other flags choose")
	a.completeRules(cmd, &o.dial)
	return cmd
}

func (o *byHandFlags) register(cmd *cobra.Command) {
	o.out.register(cmd)
	o.dial.register(cmd)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask")
}

// chosen tells whether a flag chooses deliveries.
func (o *byHandFlags) chosen(cmd *cobra.Command) bool {
	for _, name := range []string{"failed", "rule", "endpoint", "type", "webhook", "kind", "id", "since", "until"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			return true
		}
	}
	return false
}

// byHand does what was asked, to single deliveries or in bulk.
func (a *app) byHand(ctx context.Context, o *byHandFlags, action, word string, ids []string, filter *api.Filter) error {
	for _, id := range ids {
		if err := checkID(id); err != nil {
			return err
		}
	}
	settings, err := a.settings()
	if err != nil {
		return err
	}
	c, err := o.dial.client(settings)
	if err != nil {
		return err
	}
	if len(ids) > 0 {
		return a.each(ctx, o, c, action, word, ids)
	}
	return a.bulk(ctx, o, c, action, word, filter)
}

// each handles deliveries one by one.
func (a *app) each(ctx context.Context, o *byHandFlags, c *client, action, word string, ids []string) error {
	list := make([]handled, 0, len(ids))
	var failed []error
	first := "" // of those that failed
	for _, id := range ids {
		// Both answers have what counts of this.
		var answer struct{ Run, Attempt int }
		err := c.post(ctx, api.DeliveriesPath+"/"+id+"/"+action, nil, &answer)
		got := handled{DeliveryID: id, Run: answer.Run, Attempt: answer.Attempt}
		if err != nil {
			var answered *answerError
			if !errors.As(err, &answered) || answered.status == http.StatusUnauthorized || answered.status == http.StatusForbidden {
				return err // the next one would fare the same
			}
			got = handled{DeliveryID: id, Error: err.Error()}
			failed, first = append(failed, err), cmp.Or(first, id)
		} else if !o.out.json() {
			fmt.Fprintf(a.stdout, "%s %s\n", id, word)
		}
		list = append(list, got)
	}
	if o.out.json() {
		if err := printJSON(a.stdout, list); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return withHint(errors.Join(failed...), "bellhop deliveries show "+first)
}

// bulk counts, asks, and handles many, with progress.
func (a *app) bulk(ctx context.Context, o *byHandFlags, c *client, action, word string, filter *api.Filter) error {
	req := api.OperationRequest{Action: action, Filter: filter}
	var count api.OperationCount
	if err := c.post(ctx, api.OperationsPath, req, &count); err != nil {
		return err
	}
	if count.Count == 0 {
		if o.out.json() {
			return printJSON(a.stdout, api.Operation{Action: action, State: "done", Started: time.Now().UTC()})
		}
		fmt.Fprintln(a.stdout, "nothing matches")
		return nil
	}
	if !o.yes && terminal(a.stdin) && terminal(a.stderr) {
		fmt.Fprintf(a.stderr, "%s %s? [y/N] ", action, counted(count.Count, "delivery", "deliveries"))
		line, err := unlessOver(ctx, func() (string, error) { return bufio.NewReader(a.stdin).ReadString('\n') })
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read the answer: %w", err)
		}
		if answer := strings.ToLower(strings.TrimSpace(line)); answer != "y" && answer != "yes" {
			return errors.New("nothing was done")
		}
	}
	req.Until, req.Confirm = count.Until, true
	var op api.Operation
	if err := c.post(ctx, api.OperationsPath, req, &op); err != nil {
		return err
	}
	if err := a.await(ctx, c, &op); err != nil {
		return err
	}
	if o.out.json() {
		if err := printJSON(a.stdout, op); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.stdout, "%s of %d %s", counted(op.Done, "delivery", "deliveries"), op.Total, word)
		if op.Skipped > 0 {
			fmt.Fprintf(a.stdout, ", %d skipped", op.Skipped)
		}
		fmt.Fprintln(a.stdout)
	}
	text := strings.Join(op.Errors, "\n")
	if op.Failed > 0 || op.State != "done" {
		if text != "" {
			text = ":\n" + text
		}
		return withHint(fmt.Errorf("%d failed, the operation is %s%s", op.Failed, op.State, text), "the same again: what was done is not done twice")
	}
	if op.Done == 0 && text != "" {
		return withHint(fmt.Errorf("none was %s:\n%s", word, text), "bellhop rules list")
	}
	if text != "" && !o.out.json() {
		fmt.Fprintln(a.stderr, text)
	}
	return nil
}

// await follows an operation to its end, with a bar on a terminal. Ctrl-C stops it.
func (a *app) await(ctx context.Context, c *client, op *api.Operation) error {
	var bar *progressbar.ProgressBar
	if terminal(a.stdout) && terminal(a.stderr) {
		bar = progressbar.NewOptions(op.Total, progressbar.OptionSetWriter(a.stderr), progressbar.OptionSetDescription(op.Action),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())
	}
	path := api.OperationsPath + "/" + op.ID
	for wait := 20 * time.Millisecond; op.State == "running"; wait = min(2*wait, 500*time.Millisecond) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
			defer cancel()
			return errors.Join(context.Cause(ctx), c.do(stop, http.MethodDelete, path, nil, op))
		}
		if err := c.get(ctx, path, op); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return err
		}
		if bar != nil {
			_ = bar.Set(op.Done + op.Skipped + op.Failed)
		}
	}
	return nil
}

func newDeliveriesRebuildCmd(a *app) *cobra.Command {
	var dial dialFlags
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Count all outcomes again from the bus",
		Long: `Rebuild throws the daemon's counts and its index of outcomes away and makes them anew from what the bus still holds. Deliveries are not
touched, and go on meanwhile. Where no daemon runs, the next one to start does it.`,
		Example: `  bellhop deliveries rebuild`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			settings, err := a.settings()
			if err != nil {
				return err
			}
			c, err := dial.client(settings)
			if err != nil {
				return err
			}
			var p api.Projection
			err = c.post(cmd.Context(), api.RebuildPath, nil, &p)
			if errors.Is(err, errNoDaemon) && dial.address == "" {
				return a.resetStore(settings.DataDir)
			}
			if err != nil {
				return err
			}
			return a.awaitCounts(cmd.Context(), c, p)
		},
	}
	dial.register(cmd)
	return cmd
}
