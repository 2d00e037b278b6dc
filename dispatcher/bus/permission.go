package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// PermissionError is the server's refusal of a subject.
type PermissionError struct {
	Operation string // publish or subscribe
	Subject   string
}

// Error implements error.
func (e *PermissionError) Error() string {
	return fmt.Sprintf("the NATS user may not %s %q: grant it (docs/operations.md lists what Bellhop needs)", e.Operation, e.Subject)
}

// denials are the permission violations that the server reported lately: it tells of them beside the request, which itself
// just times out.
type denials struct {
	mu   sync.Mutex
	n    uint64               // how many there were
	last [64]*PermissionError // the i-th, from 0, is at i modulo the size
	more chan struct{}        // closed by the next one
}

func (d *denials) add(e *PermissionError) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last[d.n%uint64(len(d.last))] = e
	d.n++
	if d.more != nil {
		close(d.more)
		d.more = nil
	}
}

// mark returns how many there were so far.
func (d *denials) mark() uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// since returns the latest violation after a mark that concerns somebody, nil for none, and what the next one will close.
func (d *denials) since(mark uint64, concerns func(*PermissionError) bool) (*PermissionError, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.more == nil {
		d.more = make(chan struct{})
	}
	for i := d.n; i > mark && d.n-i < uint64(len(d.last)); i-- {
		if e := d.last[(i-1)%uint64(len(d.last))]; concerns(e) {
			return e, d.more
		}
	}
	return nil, d.more
}

// await waits, a moment at most, until the connection's last error is known here: the client tells of errors in their order,
// but later than it answers.
func (d *denials) await(ctx context.Context, last error) {
	if !errors.Is(last, nats.ErrPermissionViolation) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	want := *parsePermission(last.Error())
	for {
		known, more := d.since(0, func(e *PermissionError) bool { return *e == want })
		if known != nil {
			return
		}
		select {
		case <-more:
		case <-ctx.Done():
			return
		}
	}
}

// publishing concerns whoever waits for the answer to a message on the subject.
func publishing(subject string) func(*PermissionError) bool {
	return func(e *PermissionError) bool { return e.Subject == subject || e.deaf() }
}

// asking concerns whoever waits for the answer to a request of set-up.
func asking(e *PermissionError) bool { return strings.HasPrefix(e.Subject, "$JS.") || e.deaf() }

// deaf tells whether no answer of any kind can be heard.
func (e *PermissionError) deaf() bool {
	return e.Operation == subscribing && (e.Subject == "" || strings.HasPrefix(e.Subject, nats.InboxPrefix))
}

// subscribing is the operation of a PermissionError that is about hearing.
const subscribing = "subscribe to"

// asyncError takes what the server says beside all requests.
func (b *Bus) asyncError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		b.log("NATS", err)
		return
	}
	denied := parsePermission(err.Error())
	b.log("NATS", denied)
	b.denied.add(denied)
	b.fail(denied, func(p *publication) bool { return publishing(p.subject)(denied) })
}

// mayWork finds out whether the user may do all that the daemon will do later, before there is something to lose. Each subject
// gets a body that whoever listens to it cannot read, and refuses; a purge, which takes any such body for "everything", one that
// names a subject on which nothing ever waits.
func (b *Bus) mayWork(ctx context.Context) error {
	t := b.top
	publish := []string{
		"$JS.API.CONSUMER.MSG.NEXT." + t.Events.Stream + "." + t.Events.Consumer,
		"$JS.API.CONSUMER.MSG.NEXT." + t.Retries + "." + dueConsumer,
		"$JS.API.CONSUMER.MSG.NEXT." + t.Retries + "." + lanePrefix + "probe",
		"$JS.API.CONSUMER.MSG.NEXT." + t.Results.Stream + ".probe",
		"$JS.API.CONSUMER.CREATE." + t.Results.Stream + ".probe",
		"$JS.API.CONSUMER.LIST." + t.Retries,
		"$JS.API.STREAM.MSG.GET." + t.Results.Stream,
		"$JS.API.STREAM.MSG.GET." + t.Retries,
		"$JS.API.STREAM.PURGE." + t.Retries,
		"$JS.ACK." + t.Events.Stream + "." + t.Events.Consumer + ".probe",
		"$JS.ACK." + t.Retries + "." + dueConsumer + ".probe",
	}
	nc := b.nc()
	mark := b.denied.mark()
	for _, subject := range publish {
		body := "-"
		// What is no JSON the server takes for "all" here and logs as a fault there: these ask for nothing in words that it reads.
		switch {
		case strings.HasPrefix(subject, "$JS.API.STREAM.PURGE."):
			body = fmt.Sprintf(`{"filter":%q}`, t.atSubject("probe"))
		case strings.HasPrefix(subject, "$JS.API.STREAM.MSG.GET."):
			body = `{}`
		case strings.HasPrefix(subject, "$JS.API.CONSUMER.CREATE."):
			body = `{"stream_name":"-","config":{}}` // another stream than the subject's
		}
		if err := nc.PublishRequest(subject, nc.NewInbox(), []byte(body)); err != nil {
			return fmt.Errorf("try what the user may do: %w", err)
		}
	}
	lanes := t.laneSubject("*")
	sub, err := nc.SubscribeSync(lanes)
	if err != nil {
		return fmt.Errorf("try what the user may do: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	// The server says what it refuses before it answers this.
	if err := flush(ctx, nc); err != nil {
		return err
	}
	b.denied.await(ctx, nc.LastError())
	var refused []error
	for _, subject := range append(publish, lanes) {
		if denied, _ := b.denied.since(mark, func(e *PermissionError) bool { return e.Subject == subject }); denied != nil {
			refused = append(refused, denied)
		}
	}
	return errors.Join(refused...)
}

// parsePermission reads `nats: permissions violation: Permissions Violation for Publish to "subject"`.
func parsePermission(text string) *PermissionError {
	e := &PermissionError{Operation: "publish to"}
	if strings.Contains(strings.ToLower(text), "subscription") {
		e.Operation = subscribing
	}
	if _, rest, ok := strings.Cut(text, `"`); ok {
		e.Subject, _, _ = strings.Cut(rest, `"`)
	}
	return e
}

// api runs one request of set-up, bounded in time, and ends it at once where the server refuses its subject.
func (b *Bus) api(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, apiTimeout, errors.New("no answer from JetStream within 5s"))
	defer cancel()
	mark := b.denied.mark()
	done := make(chan error, 1)
	go func() { done <- request(ctx) }()
	for {
		denied, more := b.denied.since(mark, asking)
		if denied != nil {
			cancel()
			if <-done == nil {
				// The refusal was another request's.
				return nil
			}
			return denied
		}
		select {
		case err := <-done:
			if denied, _ := b.denied.since(mark, asking); err != nil && denied != nil {
				return denied
			}
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("%w: %w", context.Cause(ctx), err)
			}
			return err
		case <-more:
		}
	}
}
