package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
	"bellhop/store"
)

// backtest is what rules would have done, in the shape that programs read.
type backtest struct {
	Since    time.Time         `json:"since"`
	Until    time.Time         `json:"until"`
	Events   int               `json:"events"`
	Rejected int               `json:"rejected"` // of them, those that cannot be read
	Version  string            `json:"rules_version"`
	InForce  *backtestVersion  `json:"in_force"` // null where nothing is in force, or is known to be
	Webhooks []backtestWebhook `json:"webhooks"`
}

// backtestVersion names the rules that were compared with.
type backtestVersion struct {
	Number uint64 `json:"number"`
	Digest string `json:"rules_version"`
}

// backtestWebhook is one webhook's part. What compares with the rules in force is left out where there are none.
type backtestWebhook struct {
	Rule    string `json:"rule"`
	Webhook string `json:"webhook"`
	Fires   int    `json:"fires"`
	InForce *int   `json:"in_force,omitempty"` // how often it fires in force
	Added   *int   `json:"added,omitempty"`
	Removed *int   `json:"removed,omitempty"`
	Changed *int   `json:"changed,omitempty"` // fires in both, with another request
}

func newRulesBacktestCmd(a *app) *cobra.Command {
	var (
		out   output
		dial  dialFlags
		since string
	)
	cmd := &cobra.Command{
		Use:   "backtest [--since 24h] [PATH...]",
		Short: "Show what rules would have sent for past events: sends nothing",
		Long: `Backtest judges the events that the stream still holds by rule files (those of the configuration where no PATH is given)
and shows how often each webhook would fire. It compares with the rules in force, which it asks of the running daemon or
reads from the store: how many events a webhook would fire for that it does not fire for now (new), the other way about
(gone), and how many would be sent another request (changed). It sends nothing and leaves the daemons' work alone.`,
		Example: `  bellhop rules backtest --since 24h
  bellhop rules backtest --since 7d ./rules-next
  bellhop rules backtest --since 1h -o json | jq '.webhooks[] | select(.added > 0)'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			age, err := config.ParseDuration(since)
			if err == nil && age <= 0 {
				err = errors.New("it must be more than 0")
			}
			if err != nil {
				return usagef("--since: %w", err)
			}
			settings, err := a.settings()
			if err != nil {
				return err
			}
			files := loadRules(settings, args, false)
			if files.set == nil {
				printProblems(a.stderr, errorsOnly(files.problems))
				return errFound
			}
			inForce, version, err := a.rulesInForce(cmd.Context(), &dial, settings)
			if err != nil {
				return err
			}
			b, err := a.backtest(cmd.Context(), settings, rule.NewBacktest(files.set, inForce), age)
			if err != nil {
				return err
			}
			b.Version, b.InForce = files.set.Version, version
			if version == nil {
				b.withoutComparison()
			}
			if out.json() {
				return printJSON(a.stdout, b)
			}
			return printBacktest(a, b)
		},
	}
	out.register(cmd)
	dial.register(cmd)
	cmd.Flags().StringVar(&since, "since", "24h", "how far back to go, as a `DURATION`: 90m, 24h, 7d")
	return cmd
}

// rulesInForce compiles the rules in force; nil where there are none, or nobody to ask. Secrets stay unresolved.
func (a *app) rulesInForce(ctx context.Context, d *dialFlags, s *config.Settings) (set *rule.Set, version *backtestVersion, err error) {
	src, err := openRules(ctx, d, s)
	if errors.Is(err, errNoDaemon) && d.address == "" {
		fmt.Fprintln(a.stderr, "no daemon is running and there is no store: nothing to compare with")
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	list, err := src.versions(ctx)
	if err != nil {
		return nil, nil, err
	}
	current, _ := neighbours(list)
	if current == nil {
		fmt.Fprintln(a.stderr, "no rules are in force yet: nothing to compare with")
		return nil, nil, nil
	}
	v, err := src.version(ctx, strconv.FormatUint(current.Number, 10))
	if err != nil {
		return nil, nil, err
	}
	files := compileRules(s, sourceFiles(v.Files), nil, false)
	if files.set == nil {
		return nil, nil, fmt.Errorf("version %d, which is in force, does not compile here: %w", v.Number, firstProblem(files.problems))
	}
	return files.set, &backtestVersion{Number: v.Number, Digest: v.Digest}, nil
}

func sourceFiles(files []api.File) []rule.SourceFile {
	out := make([]rule.SourceFile, 0, len(files))
	for _, f := range files {
		out = append(out, rule.SourceFile{Path: f.Path, Text: f.Text})
	}
	return out
}

// pastEvents reaches the server that holds the events: the one that runs, else what a daemon that does not run has embedded.
func (a *app) pastEvents(ctx context.Context, s *config.Settings) (b *bus.Bus, closeBus func(), err error) {
	const name = "bellhop rules backtest"
	b, closeBus, err = a.connect(ctx, s, name)
	if err == nil || s.NATS.URL != "" {
		return b, closeBus, err
	}
	// As long as the store is open no daemon starts, whose server would have the same files.
	db, failed := store.Open(filepath.Join(s.DataDir, storeName), store.Options{ReadOnly: true})
	if failed != nil {
		return nil, nil, err
	}
	stored := &storedDeliveries{db: db}
	if stored.server, err = bus.StartServer(bus.ServerOptions{Dir: filepath.Join(s.DataDir, serverDir)}); err == nil {
		stored.bus, err = bus.Connect(ctx, bus.Options{Server: stored.server, Name: name})
	}
	if err != nil {
		return nil, nil, errors.Join(err, stored.close())
	}
	return stored.bus, func() { _ = stored.close() }, nil
}

// backtest reads the past events and counts.
func (a *app) backtest(ctx context.Context, s *config.Settings, counting *rule.Backtest, age time.Duration) (*backtest, error) {
	b, closeBus, err := a.pastEvents(ctx, s)
	if err != nil {
		return nil, err
	}
	defer closeBus()
	until := time.Now()
	out := &backtest{Since: until.Add(-age).UTC().Truncate(time.Second), Until: until.UTC().Truncate(time.Second), Webhooks: []backtestWebhook{}}
	var (
		created time.Time
		step    func()
		total   int
	)
	err = b.Replay(ctx, bus.Replay{
		Stream: s.Events.Stream, Prefix: s.Events.Prefix, Since: until.Add(-age),
		Begin: func(n int, at time.Time) { total, created, step = n, at, a.progress(n, "replaying") },
	}, func(m *bus.Message) error {
		defer step()
		out.Events++
		e, err := event.Decode(event.Message{
			Stream: m.Stream, Created: created, Seq: m.Seq, Time: m.Time, Subject: m.Subject,
			Type: strings.TrimPrefix(m.Subject, s.Events.Prefix+"."), Header: m.Header, Data: m.Data,
		}, int(s.Events.MaxBytes))
		if err != nil {
			out.Rejected++
			return nil
		}
		counting.Add(e)
		return ctx.Err()
	})
	if err != nil {
		if out.Events > 0 {
			err = fmt.Errorf("stopped after %d of %d events: %w", out.Events, total, err)
		}
		return nil, hintStream(err)
	}
	for _, t := range counting.Tallies() {
		out.Webhooks = append(out.Webhooks, backtestWebhook{
			Rule: t.Rule, Webhook: t.Webhook, Fires: t.Fires,
			InForce: &t.InForce, Added: &t.Added, Removed: &t.Removed, Changed: &t.Changed,
		})
	}
	return out, nil
}

// withoutComparison takes out what means nothing where no rules are in force.
func (b *backtest) withoutComparison() {
	for i := range b.Webhooks {
		w := &b.Webhooks[i]
		w.InForce, w.Added, w.Removed, w.Changed = nil, nil, nil, nil
	}
}

// printBacktest prints it for people: a webhook a line, then the sums.
func printBacktest(a *app, b *backtest) error {
	compared := b.InForce != nil
	head := []string{"RULE", "WEBHOOK", "FIRES"}
	if compared {
		head = append(head, "IN FORCE", "NEW", "GONE", "CHANGED")
	}
	rows := [][]string{head}
	var fires, inForce, added, removed, changed int
	for _, w := range b.Webhooks {
		row := []string{w.Rule, w.Webhook, strconv.Itoa(w.Fires)}
		fires += w.Fires
		if compared {
			for _, n := range []*int{w.InForce, w.Added, w.Removed, w.Changed} {
				row = append(row, strconv.Itoa(*n))
			}
			inForce, added, removed, changed = inForce+*w.InForce, added+*w.Added, removed+*w.Removed, changed+*w.Changed
		}
		rows = append(rows, row)
	}
	if err := table(a.stdout, rows); err != nil {
		return err
	}
	rejected := ""
	if b.Rejected > 0 {
		rejected = fmt.Sprintf(", %d of them unreadable", b.Rejected)
	}
	fmt.Fprintf(a.stdout, "%s since %s%s: %s would go out\n", count(b.Events, "event"), b.Since.Format(time.RFC3339), rejected, count(fires, "webhook"))
	if compared {
		_, err := fmt.Fprintf(a.stdout, "in force, version %d (%s): %d; so %d new, %d gone, %d changed\n",
			b.InForce.Number, b.InForce.Digest, inForce, added, removed, changed)
		return err
	}
	return nil
}
