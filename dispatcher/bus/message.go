package bus

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Message is one message that a pull consumer handed over. Until it is acknowledged the server takes it for held, and hands
// it to somebody else unless it hears of it every few seconds.
type Message struct {
	Subject   string
	Header    map[string][]string
	Data      []byte
	Stream    string
	Consumer  string
	Seq       uint64    // in the stream
	Time      time.Time // when the stream stored it
	Delivered int       // how often it was handed over, this time included
	Pending   uint64    // how many the consumer had for later as it handed this one over
	Order     uint64    // its place among all that the consumer has handed over, from 1
	Replier   Replier

	own replier // what Replier is, of a message from the bus
}

// Replier tells the server what became of a message.
type Replier interface {
	// Ack says that the message is done with, and waits until the server has confirmed it.
	Ack(ctx context.Context) error
	// AckUnconfirmed says that the message is done with, and waits for nothing. A consumer takes what is said to it in order.
	AckUnconfirmed() error
	// Nak gives the message back: to anybody, after the delay.
	Nak(delay time.Duration) error
	// InProgress tells the server that the message is still held.
	InProgress() error
}

type replier struct {
	b     *Bus
	reply string
}

func (r *replier) Ack(ctx context.Context) error {
	if _, err := r.b.nc().RequestWithContext(ctx, r.reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

func (r *replier) AckUnconfirmed() error {
	if err := r.b.nc().Publish(r.reply, []byte("+ACK")); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

func (r *replier) Nak(delay time.Duration) error {
	body := []byte("-NAK")
	if delay > 0 {
		body = append(body, ` {"delay": `...)
		body = strconv.AppendInt(body, delay.Nanoseconds(), 10)
		body = append(body, '}')
	}
	if err := r.b.nc().Publish(r.reply, body); err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	return nil
}

func (r *replier) InProgress() error {
	if err := r.b.nc().Publish(r.reply, []byte("+WPI")); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	return nil
}

// message reads what the server put into the reply subject besides the message itself.
func (b *Bus) message(m *nats.Msg) (*Message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return nil, fmt.Errorf("read message on %s: %w", m.Subject, err)
	}
	msg := &Message{
		Subject: m.Subject, Header: m.Header, Data: m.Data, Stream: meta.Stream, Consumer: meta.Consumer, Seq: meta.Sequence.Stream,
		Time: meta.Timestamp.UTC(), Delivered: int(min(meta.NumDelivered, 1<<30)), own: replier{b, m.Reply},
		Pending: meta.NumPending, Order: meta.Sequence.Consumer,
	}
	msg.Replier = &msg.own
	return msg, nil
}
