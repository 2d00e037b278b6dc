package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/rule"
)

// demoPatience is how long the end of a demo waits while nothing moves. It is longer than any pause that the demo makes by
// itself: a time-out, a delay, a receiver's Retry-After.
const demoPatience = 8 * time.Second

// demoSettle is how long the end of a demo waits at most, whatever moves.
const demoSettle = time.Minute

// demoOptions is what a demo is asked for.
type demoOptions struct {
	lasts   time.Duration // 0: until ctx ends
	events  int           // 0: no limit
	rate    float64       // events a second
	verbose bool
}

func newDemoCmd(a *app) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show everything at work in one process, with no set-up",
		Long: `Demo runs everything in one process, with no set-up: an embedded NATS JetStream server on a free port, the daemon with sample
rules, a receiver that succeeds for the most part, and the console. It publishes a steady flow of events and prints each
of them, each webhook that the receiver gets, and what became of it. Nothing leaves this machine.

Ctrl-C ends it, --for and --events end it by themselves: it publishes no more, waits until every delivery is settled, and
prints a summary. The status is 1 if anything was lost or left unsettled.

Time-outs and delays are shortened, as it says when it starts. It reads neither bellhop.yaml nor BELLHOP_ variables; keys of
the configuration can be given as flags, apart from those that it brings itself. Its files go to a temporary folder,
which it removes.`,
		Example: `  bellhop demo
  bellhop demo --for 5s
  bellhop demo --events 100 --rate 50
  bellhop demo --for 10s --delivery.retries 1 --verbose`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.lasts < 0:
				return usagef("--for %s: a duration of time is wanted, such as 5s", o.lasts)
			case o.events < 0:
				return usagef("--events %d: a number of events is wanted", o.events)
			case !(o.rate >= 0.1 && o.rate <= 1000):
				return usagef("--rate %v: 0.1 to 1000 events a second are wanted", o.rate)
			}
			return a.demo(cmd.Context(), o)
		},
	}
	cmd.Flags().DurationVar(&o.lasts, "for", 0, "end by itself after this `TIME` of publishing, such as 5s (default: at Ctrl-C)")
	cmd.Flags().IntVar(&o.events, "events", 0, "end by itself after `N` events")
	cmd.Flags().Float64Var(&o.rate, "rate", 5, "publish `N` events a second")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "show the daemon's log on stderr")
	return cmd
}

// demo is one demo at work.
type demo struct {
	o        demoOptions
	out      *demoPrinter
	settings *config.Settings
	rules    *rule.Set
	ledger   *ledger
	bus      *bus.Bus
	created  time.Time // of the events' stream
}

// demo runs a demo until ctx ends or it has shown what it was asked for. Nothing of it is left behind.
func (a *app) demo(ctx context.Context, o demoOptions) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A pipe that its reader has closed ends the demo as Ctrl-C does: the signal would leave the temporary folder behind.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)

	d := &demo{o: o, out: newDemoPrinter(a.stdout, cancel), ledger: newLedger()}
	dir, err := demoFolder()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("make the demo's signing secret: %w", err)
	}
	receiver, err := openReceiver(key, d.received)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, receiver.Close()) }()
	if err := layOut(dir, receiver.ports, key); err != nil {
		return err
	}
	anyConsole, err := d.configure(a, dir)
	if err != nil {
		return err
	}
	log := zap.NewNop()
	if o.verbose {
		if log, err = newLogger(a.stderr, d.settings.Log); err != nil {
			return err
		}
	}

	d.out.text("starting an embedded NATS server, a daemon, a receiver and the console ...\n")
	running, err := startDaemon(ctx, d.settings, log)
	if anyConsole && errors.Is(err, syscall.EADDRINUSE) {
		// The usual port is somebody's, most likely another demo's or a daemon's.
		d.settings.Console.Listen = "127.0.0.1:0"
		running, err = startDaemon(ctx, d.settings, log)
	}
	if err != nil || running == nil {
		return err
	}
	// The receiver outlives the daemon, whose last attempts it answers.
	defer func() { err = errors.Join(err, running.end()) }()
	return d.show(ctx, running)
}

// show publishes events and prints what comes of them, to the summary.
func (d *demo) show(ctx context.Context, r *runningDaemon) (err error) {
	// A connection of its own, over the network: the demo reads the bus as any other program does.
	if d.bus, err = bus.Connect(context.WithoutCancel(ctx), bus.Options{URL: r.server.URL(), Name: "bellhop demo"}); err != nil {
		return err
	}
	defer d.bus.Close()
	if err := d.bus.Setup(context.WithoutCancel(ctx), topology(d.settings)); err != nil {
		return err
	}
	if d.created, err = d.bus.EventsCreated(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	following, stop := context.WithCancel(context.WithoutCancel(ctx))
	followed := make(chan error, 1)
	go func() {
		followed <- d.bus.Follow(following, bus.From{Seq: 1}, func(one bus.Recorded) { d.recorded(following, one) })
	}()
	defer func() {
		stop()
		if ended := <-followed; !errors.Is(ended, context.Canceled) {
			err = errors.Join(err, ended)
		}
	}()

	d.banner(r)
	if err := d.publish(ctx, r.ended); err != nil {
		return err
	}
	d.settle(r.ended)
	balance := d.ledger.report()
	d.out.summary(balance)
	if err := d.out.failed(); err != nil {
		if errors.Is(err, syscall.EPIPE) {
			return errFound // nobody is there to be told
		}
		return fmt.Errorf("print what happens: %w", err)
	}
	return balance.err()
}

// settle waits until all that was published is settled, or that can no more be hoped for.
func (d *demo) settle(ended <-chan struct{}) {
	if n := d.ledger.pending(); n > 0 {
		d.out.text(fmt.Sprintf("\nno more events; waiting for %s to settle ...\n", counted(n, "delivery", "deliveries")))
	}
	ctx, cancel := context.WithTimeout(context.Background(), demoSettle)
	defer cancel()
	go func() {
		select {
		case <-ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	d.ledger.settle(ctx, demoPatience)
}

// counted is count for a word whose plural is irregular.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// banner says what runs where, and what is not as in a daemon.
func (d *demo) banner(r *runningDaemon) {
	s := d.settings
	var b strings.Builder
	row := func(name, text string) { fmt.Fprintf(&b, "  %s%s\n", d.out.paint(bold, padTo(name, 11)), text) }
	fmt.Fprintf(&b, "\n%s, everything in one process\n", d.out.paint(bold, "bellhop demo"))
	if url := r.http.URL(); url != "" {
		row("console", d.out.paint(cyan, url))
		row("try", "bellhop rules list --address "+url)
	}
	row("NATS", r.server.URL())
	row("rules", fmt.Sprintf("%s in %s", count(len(d.rules.Rules), "rule"), s.Rules[0]))
	row("receiver", fmt.Sprintf("%d systems on free ports of 127.0.0.1; some of them fail at times, on purpose", len(partners)))
	row("shortened", "time-outs and delays, so that seconds show what takes a daemon minutes:")
	row("", fmt.Sprintf("%s for an attempt (a daemon: 10s), %s to the first retry (5s), %s (10)",
		s.Delivery.Timeout, s.Delivery.InitialDelay, counted(s.Delivery.Retries, "retry", "retries")))
	end := "at Ctrl-C; a summary follows"
	switch {
	case d.o.lasts > 0:
		end = fmt.Sprintf("by itself after %s, or at Ctrl-C; a summary follows", d.o.lasts)
	case d.o.events > 0:
		end = fmt.Sprintf("by itself after %s, or at Ctrl-C; a summary follows", count(d.o.events, "event"))
	}
	row("ends", end)
	b.WriteByte('\n')
	d.out.text(b.String())
}

// publish publishes the story until ctx or the daemon ends, or all that was asked for is out.
func (d *demo) publish(ctx context.Context, ended <-chan struct{}) error {
	ticker := time.NewTicker(time.Duration(float64(time.Second) / d.o.rate))
	defer ticker.Stop()
	var over <-chan time.Time
	if d.o.lasts > 0 {
		timer := time.NewTimer(d.o.lasts)
		defer timer.Stop()
		over = timer.C
	}
	for n := 0; d.o.events == 0 || n < d.o.events; n++ {
		if err := d.send(ctx, n); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-over:
			return nil
		case <-ctx.Done():
			return nil
		case <-ended:
			return errors.New("the daemon ended by itself")
		}
	}
	return nil
}

// send publishes the nth event, and notes what has to come of it.
func (d *demo) send(ctx context.Context, n int) error {
	now := time.Now()
	a, err := scripted(n, now)
	if err != nil {
		return err
	}
	a.msg.Subject = d.settings.Events.Prefix + "." + a.typ
	// Printed first: what comes of it may be here before the stream's confirmation is.
	d.out.published(now, a)
	// An end in the middle must not leave it open whether the event is on the bus.
	ack, err := d.bus.Publish(context.WithoutCancel(ctx), a.msg)
	if err != nil {
		return err
	}
	e, err := a.decoded(ack.Stream, d.created, ack.Seq, now)
	if err != nil {
		d.ledger.unreadable(delivery.RejectedID(ack.Stream, ack.Seq))
		return nil
	}
	expected := map[string]string{}
	for _, w := range d.rules.Match(e, nil) {
		expected[delivery.ID(e.Identity, w.Rule.Name, w.Name)] = fmt.Sprintf("%s, event %d, %s/%s", a.typ, ack.Seq, w.Rule.Name, w.Name)
	}
	d.ledger.event(expected)
	if len(expected) == 0 {
		why := "no rule is on " + a.typ
		if verdicts := d.rules.Explain(e); len(verdicts) > 0 {
			why = verdicts[0].Webhook.Rule.Name + ": " + verdicts[0].Reason
		}
		d.out.nothing(time.Now(), why)
	}
	return nil
}

// received notes and prints a request that the receiver got.
func (d *demo) received(r received) {
	d.out.posted(time.Now(), r)
	d.ledger.post(r.id, r.status)
}

// recorded prints and notes an outcome off the bus.
func (d *demo) recorded(ctx context.Context, r bus.Recorded) {
	// Noted last: the summary must not overtake the line.
	defer d.ledger.outcome(r.MsgID, delivery.Outcome(r.Outcome))
	data, err := d.bus.Outcome(ctx, r.Seq)
	if err != nil || data == nil {
		return
	}
	envelope, record, err := delivery.Decode(data)
	if err != nil {
		return
	}
	if record != nil {
		d.out.outcome(r.Time.Local(), envelope.Outcome(), record)
		return
	}
	var rejection delivery.Rejection
	if json.Unmarshal(envelope.Data, &rejection) == nil {
		d.out.rejected(r.Time.Local(), rejection)
	}
}
