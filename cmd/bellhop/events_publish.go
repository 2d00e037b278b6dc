package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/event"
)

// publisher is the one thing that events publish asks of the bus: Publish returns when the stream has confirmed m.
type publisher interface {
	Publish(ctx context.Context, m bus.Msg) (bus.Ack, error)
}

// published is the stream's confirmation of one event, in the shape that programs read.
type published struct {
	Stream    string `json:"stream"`
	Seq       uint64 `json:"seq"`
	Duplicate bool   `json:"duplicate"`
}

func newEventsPublishCmd(a *app) *cobra.Command {
	var (
		out       output
		eventType string
		id        string
		parallel  int
	)
	cmd := &cobra.Command{
		Use:   "publish --type TYPE [FILE]",
		Short: "Publish one JSON event, or one a line",
		Long: `Publish sends the JSON event of FILE (standard input for - or none) to the bus, or one event a line where the input has
several lines with a JSON object each (NDJSON). All lines are checked before the first is sent. A CloudEvents 1.0
document goes out as it is; any other object is the event's data. The server is nats.url, else nats.listen.`,
		Example: `  bellhop events publish --type course.completed event.json
  bellhop events publish --type course.completed --id evt-17 event.json
  bellhop events publish --type module.completed -o json < events.ndjson`,
		Args: countArgs(0, 1, "one FILE at most, - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if eventType == "" {
				return withHint(usagef("--type TYPE is missing"), "bellhop events types")
			}
			if err := checkType(eventType); err != nil {
				return err
			}
			if strings.ContainsFunc(id, unicode.IsControl) {
				return usagef("--id %q has a control character", id)
			}
			if parallel < 1 {
				return usagef("--parallel %d, at least 1", parallel)
			}
			settings, err := a.settings()
			if err != nil {
				return err
			}
			file := "-"
			if len(args) == 1 {
				file = args[0]
			}
			text, err := a.readInput(cmd.Context(), file)
			if err != nil {
				return err
			}
			docs, err := splitEvents(text)
			if err != nil {
				return fmt.Errorf("%s: %w", inputName(file), err)
			}
			if id != "" && len(docs) > 1 {
				return usagef("--id names one event, and %s has %d", inputName(file), len(docs))
			}
			if !event.Known(eventType) {
				fmt.Fprintf(a.stderr, "warning: %s is not in the catalogue: see bellhop events types\n", oneLine(eventType))
			}
			a.warnUnreadable(docs, eventType, settings)

			b, closeBus, err := a.connect(cmd.Context(), settings, "bellhop events publish")
			if err != nil {
				return err
			}
			defer closeBus()
			for _, d := range docs {
				if most := b.MaxPayload(); len(d.text) > most {
					return withHint(fmt.Errorf("nothing was published: line %d: %d bytes, and the server takes %d", d.line, len(d.text), most),
						"a smaller event, or a higher max_payload of the server's")
				}
			}
			p := publication{
				to: b, subject: settings.Events.Prefix + "." + eventType, id: id, parallel: parallel, progress: a.progress(len(docs), "publishing"),
			}
			acks, err := p.run(cmd.Context(), docs)
			if printErr := printAcks(a, &out, eventType, acks); err == nil {
				err = printErr
			}
			return hintStream(err)
		},
	}
	out.register(cmd)
	addTypeFlag(cmd, &eventType, "the event's `TYPE`, such as course.completed")
	cmd.Flags().StringVar(&id, "id", "", "the event's `ID`: the same one published twice within the stream's window is one event")
	cmd.Flags().IntVar(&parallel, "parallel", 1, "publish `N` lines at once: more is faster and keeps no order between them")
	return cmd
}

// warnUnreadable says what a daemon would reject. It is published all the same: what is rejected is an operator's test too.
func (a *app) warnUnreadable(docs []document, eventType string, s *config.Settings) {
	const most = 10
	warned := 0
	for _, d := range docs {
		m := event.Message{Stream: s.Events.Stream, Seq: 1, Type: eventType, Data: d.text}
		if _, err := event.Decode(m, int(s.Events.MaxBytes)); err != nil {
			if warned++; warned <= most {
				fmt.Fprintf(a.stderr, "warning: line %d: daemons will reject this event: %s\n", d.line, oneLine(err.Error()))
			}
		}
	}
	if warned > most {
		fmt.Fprintf(a.stderr, "warning: and %d more\n", warned-most)
	}
}

// publication publishes documents to one subject.
type publication struct {
	to       publisher
	subject  string
	id       string // Nats-Msg-Id; "" sends none
	parallel int    // publishes in flight
	progress func() // called after each
}

// run publishes the documents and returns the confirmations in their order. On the first failure it starts no more,
// waits for those in flight, and returns what was confirmed before it.
func (p publication) run(ctx context.Context, docs []document) ([]published, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		first error
		acks  = make([]published, len(docs))
		done  = make([]bool, len(docs))
		slots = make(chan struct{}, p.parallel)
	)
	for i := range docs {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-slots }()
			ack, err := p.to.Publish(ctx, p.message(docs[i]))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if first == nil {
					first = fmt.Errorf("line %d: %w", docs[i].line, err)
					cancel(first)
				}
				return
			}
			acks[i], done[i] = published{Stream: ack.Stream, Seq: ack.Seq, Duplicate: ack.Duplicate}, true
			p.progress()
		})
	}
	wg.Wait()
	confirmed := make([]published, 0, len(docs))
	for i, ok := range done {
		if ok {
			confirmed = append(confirmed, acks[i])
		}
	}
	if first == nil {
		first = context.Cause(ctx)
	}
	if first != nil {
		return confirmed, fmt.Errorf("published %d of %d: %w", len(confirmed), len(docs), first)
	}
	return confirmed, nil
}

func (p publication) message(d document) bus.Msg {
	m := bus.Msg{Subject: p.subject, Data: d.text}
	if p.id != "" {
		m.Header = http.Header{bus.MsgID: {p.id}}
	}
	return m
}

// printAcks prints the confirmations: each for programs and for one event, else their number.
func printAcks(a *app, out *output, eventType string, acks []published) error {
	if out.json() {
		return printJSON(a.stdout, acks)
	}
	switch len(acks) {
	case 0:
		return nil
	case 1:
		note := ""
		if acks[0].Duplicate {
			note = " (a duplicate: the stream had it already)"
		}
		_, err := fmt.Fprintf(a.stdout, "published %s as %s %d%s\n", eventType, acks[0].Stream, acks[0].Seq, note)
		return err
	}
	low, high, duplicates := acks[0].Seq, acks[0].Seq, 0
	for _, ack := range acks {
		low, high = min(low, ack.Seq), max(high, ack.Seq)
		if ack.Duplicate {
			duplicates++
		}
	}
	note := ""
	if duplicates > 0 {
		note = fmt.Sprintf(", %s", count(duplicates, "duplicate"))
	}
	_, err := fmt.Fprintf(a.stdout, "published %d events %s as %s %d to %d%s\n", len(acks), eventType, acks[0].Stream, low, high, note)
	return err
}

// hintServer points to the settings where the server is there but would not have us, or is another's; else to the daemon, which
// brings the server.
func hintServer(err error, s *config.Settings) error {
	if text := err.Error(); s.NATS.URL != "" || strings.Contains(text, "refused the credentials") || strings.Contains(text, "TLS with NATS") {
		return withHint(err, "bellhop config show, for the keys of nats")
	}
	return withHint(err, "bellhop serve")
}

// hintStream points to the daemon where the stream is not there yet: it makes it.
func hintStream(err error) error {
	if err != nil && (strings.Contains(err.Error(), "no response from stream") || strings.Contains(err.Error(), "no responders")) {
		return withHint(err, "bellhop serve, which creates the stream")
	}
	return err
}

// progress returns what to call after each of total steps: a bar, where there is a terminal to draw it on and enough to wait for.
func (a *app) progress(total int, doing string) func() {
	const few = 500
	if total < few || !terminal(a.stdout) || !terminal(a.stderr) {
		return func() {}
	}
	bar := progressbar.NewOptions(total,
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetDescription(doing),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(50*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)
	return func() { _ = bar.Add(1) }
}

// connect reaches the server of the configuration, for a command of that name.
func (a *app) connect(ctx context.Context, s *config.Settings, name string) (b *bus.Bus, closeBus func(), err error) {
	o, err := busOptions(s)
	if err != nil {
		return nil, nil, err
	}
	o.Name = name
	b, err = bus.Connect(ctx, o)
	if err != nil {
		return nil, nil, hintServer(err, s)
	}
	return b, b.Close, nil
}

// busOptions says how to reach the server of the configuration: nats.url, else the embedded server's address.
func busOptions(s *config.Settings) (bus.Options, error) {
	n := s.NATS
	o := bus.Options{
		URL: n.URL, Credentials: n.Credentials, User: n.User, Password: n.Password,
		Token: n.Token, NKey: n.NKey, CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key,
	}
	if o.URL != "" {
		return o, nil
	}
	if n.Listen == "" {
		return o, withHint(fmt.Errorf("neither nats.url nor nats.listen is set: the embedded server is in-process only"),
			"--nats.url nats://HOST:4222")
	}
	host, port, err := net.SplitHostPort(n.Listen)
	if err != nil {
		return o, fmt.Errorf("nats.listen %q: %w", n.Listen, err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		// A server that listens everywhere is asked where it surely is.
		host = "127.0.0.1"
	}
	o.URL = "nats://" + net.JoinHostPort(host, port)
	return o, nil
}
