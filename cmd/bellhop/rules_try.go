package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"bellhop/config"
	"bellhop/dispatcher"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

// trial is one webhook's answer to an event, in the shape that programs read.
type trial struct {
	Rule    string        `json:"rule"`
	Webhook string        `json:"webhook"`
	Matched bool          `json:"matched"`
	Reason  string        `json:"reason,omitempty"`  // only where not matched
	Request *trialRequest `json:"request,omitempty"` // only where matched
}

// trialRequest is exactly what would go out, with secrets as ${NAME}.
type trialRequest struct {
	Method  string       `json:"method"`
	URL     string       `json:"url"`
	Headers trialHeaders `json:"headers"`
	Body    string       `json:"body"`
}

func newRulesTestCmd(a *app) *cobra.Command {
	var (
		out       output
		file      string
		eventType string
	)
	cmd := &cobra.Command{
		Use:   "test --event FILE [--type TYPE] [PATH...]",
		Short: "Show what an event would send, and why not: sends nothing",
		Long: `Test judges an event by rule files (those of the configuration where no PATH is given) and shows, for each webhook of
every rule on the event's type, the request that would go out or the condition that fails. It sends nothing and needs
neither a daemon nor the secrets. A file with specversion is a CloudEvent, any other is the data.`,
		Example: `  bellhop rules test --event event.json
  bellhop rules test --event data.json --type course.completed ./rules
  echo '{"user":{"first_name":"Ann"}}' | bellhop rules test --event - --type account.created -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return usagef("--event FILE is missing: the event to try, - for standard input")
			}
			settings, err := a.settings()
			if err != nil {
				return err
			}
			e, err := a.readEvent(cmd.Context(), file, eventType, settings)
			if err != nil {
				return err
			}
			files := loadRules(settings, args, false)
			if files.set == nil {
				printProblems(a.stderr, errorsOnly(files.problems))
				return errFound
			}
			trials := try(files.set, e, time.Now())
			if out.json() {
				return printJSON(a.stdout, trials)
			}
			printTrials(a, e, trials)
			return nil
		},
	}
	out.register(cmd)
	cmd.Flags().StringVar(&file, "event", "", "the event's `FILE`, - for standard input")
	addTypeFlag(cmd, &eventType, "the event's `TYPE` (default the one that the event gives)")
	return cmd
}

// readEvent reads the event of a file as the daemon would read it off the bus.
func (a *app) readEvent(ctx context.Context, file, eventType string, s *config.Settings) (*event.Event, error) {
	text, err := a.readInput(ctx, file)
	if err != nil {
		return nil, fmt.Errorf("--event: %w", err)
	}
	if eventType != "" {
		if err := checkType(eventType); err != nil {
			return nil, err
		}
	} else {
		v, err := event.ParseJSON(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", inputName(file), err)
		}
		given := v.Field("type")
		if given.Kind() != event.String || checkType(given.Text()) != nil {
			return nil, withHint(usagef("%s does not say the event's type", inputName(file)), "--type course.completed")
		}
		eventType = given.Text()
	}
	// An event without an id gets its identity from the stream, which does not have it yet: a fixed stand-in gives the
	// same file the same webhook-id each time.
	m := event.Message{Stream: s.Events.Stream, Created: time.Unix(0, 0), Seq: 1, Time: time.Now(), Type: eventType, Data: text}
	e, err := event.Decode(m, int(s.Events.MaxBytes))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", inputName(file), err)
	}
	return e, nil
}

// try judges the event and renders what would go out at that moment, in file order.
func try(set *rule.Set, e *event.Event, now time.Time) []trial {
	trials := []trial{}
	for _, v := range set.Explain(e) {
		w := v.Webhook
		t := trial{Rule: w.Rule.Name, Webhook: w.Name, Matched: v.Matched, Reason: v.Reason}
		if v.Matched {
			body, err := w.Render(nil, e)
			if err != nil {
				// The daemon would fail this delivery without a POST, so there is a reason to show and no request.
				t.Matched, t.Reason = false, "render: "+err.Error()
			} else {
				t.Request = &trialRequest{
					Method:  "POST",
					URL:     w.Endpoint,
					Headers: tryHeaders(w, delivery.ID(e.Identity, w.Rule.Name, w.Name), now, body),
					Body:    string(body),
				}
			}
		}
		trials = append(trials, t)
	}
	return trials
}

// tryHeaders lists the headers of a first attempt, secrets by their names.
func tryHeaders(w *rule.Webhook, id string, now time.Time, body []byte) trialHeaders {
	var headers trialHeaders
	for _, h := range dispatcher.Headers(w, "bellhop/"+buildVersion(), id, 1, now.Unix(), body, true) {
		headers = append(headers, trialHeader(h))
	}
	return headers
}

// printTrials prints them for people.
func printTrials(a *app, e *event.Event, trials []trial) {
	paint := painter(a.stdout)
	if len(trials) == 0 {
		fmt.Fprintf(a.stdout, "no rule is on %s\n", oneLine(e.Type))
		return
	}
	sent := 0
	for _, t := range trials {
		name := paint(bold, t.Rule+"/"+t.Webhook)
		if !t.Matched {
			fmt.Fprintf(a.stdout, "%s %s: %s\n", paint(faint, "-"), name, oneLine(t.Reason))
			continue
		}
		sent++
		fmt.Fprintf(a.stdout, "%s %s\n", paint(green, "+"), name)
		fmt.Fprintf(a.stdout, "    %s %s\n", t.Request.Method, t.Request.URL)
		for _, h := range t.Request.Headers {
			fmt.Fprintf(a.stdout, "    %s: %s\n", paint(cyan, h.Name), oneLine(h.Value))
		}
		if t.Request.Body != "" {
			fmt.Fprintf(a.stdout, "\n    %s\n", t.Request.Body)
		}
	}
	fmt.Fprintf(a.stdout, "%d of %s would be sent for %s\n", sent, count(len(trials), "webhook"), oneLine(e.Type))
}

func errorsOnly(problems []rule.Problem) []rule.Problem {
	var errs []rule.Problem
	for _, p := range problems {
		if p.Severity == rule.Error {
			errs = append(errs, p)
		}
	}
	return errs
}
