package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
)

// tailAgain is how long a broken stream is left alone.
const tailAgain = time.Second

func newDeliveriesTailCmd(a *app) *cobra.Command {
	var (
		out  output
		dial dialFlags
		f    filterFlags
	)
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print outcomes as they are recorded, by any daemon, until Ctrl-C",
		Example: `  bellhop deliveries tail
  bellhop deliveries tail --outcome errors --rule crm-completions
  bellhop deliveries tail -o json | jq .endpoint`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.read()
			if err != nil {
				return err
			}
			settings, err := a.settings()
			if err != nil {
				return err
			}
			c, err := dial.client(settings)
			if err != nil {
				return err
			}
			return a.tail(cmd.Context(), c, filter, out.json())
		},
	}
	out.register(cmd)
	dial.register(cmd)
	f.names(cmd)
	cmd.Flags().StringSliceVar(&f.filter.Webhook, "webhook", nil, "of this `RULE/WEBHOOK` only")
	cmd.Flags().StringSliceVar(&f.filter.Kind, "kind", nil, "with this `KIND` of error only")
	cmd.Flags().StringVar(&f.filter.Q, "id", "", "of this delivery, event or user only, by its whole `ID`")
	cmd.Flags().BoolVar(&f.failed, "failed", false, "only those that failed for good")
	cmd.Flags().StringSliceVar(&f.filter.Outcome, "outcome", nil, "only with this `OUTCOME`: delivered, retrying, failed, rejected, errors")
	a.completeRules(cmd, &dial)
	return cmd
}

// tail follows outcomes until ctx ends, through breaks of the connection once it has stood.
func (a *app) tail(ctx context.Context, c *client, f *api.Filter, asJSON bool) error {
	// Only an answer's beginning has a time: the rest goes on for as long as it is wanted.
	open := *c.http
	open.Timeout = 0
	last, stood := "", false
	for {
		err := a.tailOnce(ctx, c, &open, f, asJSON, &last, &stood)
		var answered *answerError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errPrint):
			return err
		case !stood, errors.As(err, &answered) && answered.status < http.StatusInternalServerError:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(tailAgain):
		}
	}
}

// errPrint says that nobody reads what is printed.
var errPrint = errors.New("print outcomes")

func (a *app) tailOnce(ctx context.Context, c *client, open *http.Client, f *api.Filter, asJSON bool, last *string, stood *bool) error {
	v := filterValues(f)
	v.Set("stats", "false")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+api.StreamPath+"?"+v.Encode(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", c.where, err)
	}
	req.Header.Set("Accept", "text/event-stream, application/problem+json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if *last != "" {
		req.Header.Set("Last-Event-ID", *last)
	}
	resp, err := open.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
		if err != nil {
			return fmt.Errorf("read the answer of %s: %w", c.where, err)
		}
		return c.refused(resp, text)
	}
	*stood = true
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 16<<20)
	var id, name, data string
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data = value
		case "":
			if err := a.printTailed(name, data, asJSON); err != nil {
				return err
			}
			if name == "outcome" && id != "" {
				*last = id
			}
			id, name, data = "", "", ""
		}
	}
	return lines.Err()
}

// printTailed prints one event of the stream.
func (a *app) printTailed(name, data string, asJSON bool) error {
	var err error
	switch name {
	case "outcome":
		if asJSON {
			_, err = fmt.Fprintln(a.stdout, data)
			break
		}
		var o api.Outcome
		if err := json.Unmarshal([]byte(data), &o); err != nil {
			return fmt.Errorf("read an outcome: %w", err)
		}
		color := green
		if o.Outcome != "delivered" {
			color = red
		}
		if o.Outcome == "retrying" {
			color = yellow
		}
		_, err = fmt.Fprintf(a.stdout, "%s  %s  %s  %s/%s  %s  %s  %s\n", o.At.Local().Format(time.DateTime), painter(a.stdout)(color, fmt.Sprintf("%-9s", o.Outcome)),
			dash(o.DeliveryID), dash(oneLine(o.Rule)), dash(oneLine(o.Webhook)), oneLine(o.EventType), attemptText(o), oneLine(resultText(o)))
	case "skipped":
		var n struct{ Count int }
		if json.Unmarshal([]byte(data), &n) == nil {
			fmt.Fprintf(a.stderr, "%d more were recorded than can be shown at this pace\n", n.Count)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errPrint, err)
	}
	return nil
}
