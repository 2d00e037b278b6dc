package bus

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrGone says that a consumer or its stream is not there: it is to be set up again.
var ErrGone = errors.New("consumer or stream not there")

// ErrAway says that no server is connected now. The connection comes back by itself.
var ErrAway = errors.New("disconnected from NATS")

// pullBytes bounds what one pull may bring, in bytes; no server takes a larger message.
const pullBytes = 64 << 20

// Puller pulls from one durable consumer, just as many messages as are asked for. One goroutine may use it at a time;
// several pullers of one consumer share its messages.
//
// It speaks the pull protocol itself (one subscription for all pulls) because the client's fetch drops what arrives while
// it is being stopped, which would then be nobody's until the ack wait is over.
type Puller struct {
	b            *Bus
	nc           *nats.Conn // what it listens on
	stream, name string
	sub          *nats.Subscription
	inbox        string
	n            uint64
	careless     bool // what is on its way when a pull is called off may be lost: it is nobody's to lose
}

// Events returns a puller of the events.
func (b *Bus) Events() (*Puller, error) { return b.puller(b.top.Events.Stream, b.top.Events.Consumer) }

// Due returns a puller of the retries that have fallen due. On servers without schedules all retries come at once, and are
// to be given back until they are due.
func (b *Bus) Due() (*Puller, error) { return b.puller(b.top.Retries, dueConsumer) }

func (b *Bus) puller(stream, consumer string) (*Puller, error) {
	nc := b.nc()
	p := &Puller{b: b, nc: nc, stream: stream, name: consumer, inbox: nc.NewInbox()}
	sub, err := nc.SubscribeSync(p.inbox + ".*")
	if err != nil {
		return nil, fmt.Errorf("subscribe for consumer %s: %w", consumer, err)
	}
	// What comes is bounded by what was asked for.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("subscribe for consumer %s: %w", consumer, err)
	}
	p.sub = sub
	return p, nil
}

// Pull asks for up to n messages and calls handle for each as it comes, in the caller's goroutine. It returns the number
// handled: after n of them, or when expires is over, or with an error (ErrGone where the consumer is not there). When ctx
// ends, what the server has sent already is still handled, then the puller is closed.
func (p *Puller) Pull(ctx context.Context, n int, expires time.Duration, handle func(*Message)) (int, error) {
	if !p.nc.IsConnected() {
		return 0, fmt.Errorf("pull from %s: %w", p.name, ErrAway)
	}
	p.n++
	reply := p.inbox + "." + strconv.FormatUint(p.n, 10)
	request := fmt.Sprintf(`{"batch":%d,"expires":%d,"max_bytes":%d}`, n, expires.Nanoseconds(), pullBytes)
	next := "$JS.API.CONSUMER.MSG.NEXT." + p.stream + "." + p.name
	mark := p.b.denied.mark()
	if err := p.nc.PublishRequest(next, reply, []byte(request)); err != nil {
		return 0, fmt.Errorf("pull from %s: %w", p.name, err)
	}
	// The server ends the pull; should its word be lost, this does.
	pull, cancel := context.WithTimeout(ctx, expires+time.Second)
	defer cancel()
	// A connection that breaks takes the pull with it.
	life := p.b.life()
	defer context.AfterFunc(life, cancel)()
	got := 0
	for got < n {
		m, err := p.sub.NextMsgWithContext(pull)
		if err != nil {
			if ctx.Err() != nil {
				return got + p.drain(n-got, handle), context.Cause(ctx)
			}
			if life.Err() != nil {
				return got, fmt.Errorf("pull from %s: %w", p.name, ErrAway)
			}
			if errors.Is(err, context.DeadlineExceeded) {
				if err = p.unanswered(ctx, next, mark); ctx.Err() != nil {
					return got + p.drain(n-got, handle), context.Cause(ctx)
				}
				return got, err
			}
			if errors.Is(err, nats.ErrNoResponders) {
				err = ErrGone
			}
			return got, fmt.Errorf("pull from %s: %w", p.name, err)
		}
		if status := m.Header.Get("Status"); status != "" && len(m.Data) == 0 && m.Reply == "" {
			if m.Subject != reply {
				continue // the late end of an earlier pull
			}
			if done, err := p.ended(status, m.Header.Get("Description")); done {
				return got, err
			}
			continue
		}
		got += p.hand(m, handle)
	}
	return got, nil
}

// unanswered says why a server has not ended a pull, as it does: it has refused to begin it, or there is no consumer, which
// servers before 2.10 do not tell. It returns nil where only the server's word was lost.
func (p *Puller) unanswered(ctx context.Context, next string, mark uint64) error {
	if denied, _ := p.b.denied.since(mark, publishing(next)); denied != nil {
		return denied
	}
	err := p.b.api(ctx, func(ctx context.Context) error {
		_, err := p.b.js().Consumer(ctx, p.stream, p.name)
		return err
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		err = ErrGone
	}
	return fmt.Errorf("pull from %s: %w", p.name, err)
}

func (p *Puller) hand(m *nats.Msg, handle func(*Message)) int {
	msg, err := p.b.message(m)
	if err != nil {
		p.b.log("NATS", err)
		return 0
	}
	handle(msg)
	return 1
}

// ended reads a status that the server sends instead of a message.
func (p *Puller) ended(status, description string) (bool, error) {
	switch status {
	case "100": // idle heartbeat
		return false, nil
	case "404", "408": // nothing there, time over
		return true, nil
	case "503":
		return true, fmt.Errorf("pull from %s: no responders: %w", p.name, ErrGone)
	}
	lower := strings.ToLower(description)
	switch {
	case strings.Contains(lower, "consumer deleted"), strings.Contains(lower, "no responders"):
		return true, fmt.Errorf("pull from %s: %s: %w", p.name, description, ErrGone)
	case strings.Contains(lower, "shutdown"), strings.Contains(lower, "leadership"):
		return true, fmt.Errorf("pull from %s: %s: %w", p.name, description, ErrAway)
	case strings.Contains(lower, "maxbytes"), strings.Contains(lower, "batch completed"):
		return true, nil
	}
	return true, fmt.Errorf("pull from %s: %s %s", p.name, status, description)
}

const (
	// quiet is how long nothing has come of an open pull before its interest is taken away.
	quiet = 100 * time.Millisecond
	// drainFor bounds the end of a puller.
	drainFor = 2 * time.Second
)

// drain handles what is on its way, of an open pull of which so many messages are left, and takes the interest away.
//
// A server that loses the interest drops what it has queued for it, and those messages are then nobody's until the ack wait is
// over. So a pull that is being fed is let run out or dry first.
func (p *Puller) drain(left int, handle func(*Message)) int {
	if p.careless {
		return 0
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainFor)
	defer cancel()
	got := 0
	for got < left {
		dry, stop := context.WithTimeout(ctx, quiet)
		m, err := p.sub.NextMsgWithContext(dry)
		stop()
		if err != nil {
			break
		}
		if m.Reply != "" {
			got += p.hand(m, handle)
		}
	}
	if err := p.sub.Drain(); err != nil {
		return got
	}
	for {
		m, err := p.sub.NextMsgWithContext(ctx)
		if err != nil {
			return got
		}
		if m.Reply != "" {
			got += p.hand(m, handle)
		}
	}
}

// Close takes the puller's interest away. It may be called after Pull has.
func (p *Puller) Close() {
	if p.sub.IsValid() {
		_ = p.sub.Unsubscribe()
	}
}
