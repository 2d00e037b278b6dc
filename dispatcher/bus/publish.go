package bus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Msg is one message to publish.
type Msg struct {
	Subject string
	Header  map[string][]string
	Data    []byte
}

// Ack is the stream's confirmation of one message.
type Ack struct {
	Stream    string
	Seq       uint64
	Duplicate bool // the stream holds a message of that Nats-Msg-Id already, at Seq
}

// MaxSubject is the longest subject in bytes that a message can be published to. A server takes 4096 bytes for all that it is told
// of a message, its reply subject and its sizes included (max_control_line), and ends the connection over a longer line.
const MaxSubject = 4096 - 128

// MsgID is the header by which a stream tells a message that it has already.
const MsgID = nats.MsgIdHdr

const (
	// publishTimeout is how long one publish waits for its confirmation: a frozen server never answers.
	publishTimeout = 5 * time.Second
	// sweepEvery is how often publishes are looked over for those that had no answer in time.
	sweepEvery = 500 * time.Millisecond
)

// publisher awaits the confirmations of what is published: one subscription for all of them.
type publisher struct {
	prefix string // of reply subjects, before a publication's number

	mu      sync.Mutex
	waiting map[uint64]*publication
	last    uint64
	closed  bool
	done    chan struct{} // closed as the sweeper is to end
	wg      sync.WaitGroup
}

// publication is one message that its stream has not confirmed yet.
type publication struct {
	subject  string
	deadline time.Time
	done     func(Ack, error)
}

func (b *Bus) openPublisher() (err error) {
	p := &b.publisher
	// Answers come to the same place on every connection.
	inbox := b.nc().NewInbox()
	p.mu.Lock()
	p.waiting, p.done, p.prefix = map[uint64]*publication{}, make(chan struct{}), inbox+"."
	p.mu.Unlock()
	if _, err = b.listen(inbox+".*", b.confirmed); err != nil {
		return fmt.Errorf("await confirmations: %w", err)
	}
	p.wg.Go(p.sweep)
	return nil
}

func (p *publisher) closePublisher() {
	p.mu.Lock()
	open := p.done != nil && !p.closed
	p.closed = true
	p.mu.Unlock()
	if open {
		close(p.done)
		p.wg.Wait()
	}
	p.fail(nats.ErrConnectionClosed, func(*publication) bool { return true })
}

// PublishAsync publishes one message and calls done once: when its stream has confirmed it, or with an error, five seconds later
// at the latest. done may be called before PublishAsync returns, in whichever goroutine, and must not block.
func (b *Bus) PublishAsync(m Msg, done func(Ack, error)) {
	if n := len(m.Subject); n > MaxSubject {
		done(Ack{}, fmt.Errorf("publish to %s...: a subject of %d bytes, at most %d", m.Subject[:64], n, MaxSubject))
		return
	}
	nc := b.nc()
	if !nc.IsConnected() {
		done(Ack{}, fmt.Errorf("publish to %s: %w", m.Subject, ErrAway))
		return
	}
	p := &b.publisher
	p.mu.Lock()
	p.last++
	n := p.last
	if !p.closed {
		p.waiting[n] = &publication{subject: m.Subject, deadline: time.Now().Add(publishTimeout), done: done}
	}
	closed := p.closed
	p.mu.Unlock()
	if closed {
		done(Ack{}, fmt.Errorf("publish to %s: %w", m.Subject, nats.ErrConnectionClosed))
		return
	}
	reply := make([]byte, 0, len(p.prefix)+13)
	reply = append(reply, p.prefix...)
	reply = strconv.AppendUint(reply, n, 36)
	err := nc.PublishMsg(&nats.Msg{Subject: m.Subject, Reply: string(reply), Header: nats.Header(m.Header), Data: m.Data})
	if err == nil && !nc.IsConnected() {
		// It broke after the look above: whoever fails what is waiting may have come before this.
		err = ErrAway
	}
	if err != nil {
		p.end(n, Ack{}, err)
	}
}

// Publish publishes one message and waits until its stream has confirmed it, ctx ends or five seconds have passed. A subject
// that the server refuses is a PermissionError, at once.
func (b *Bus) Publish(ctx context.Context, m Msg) (Ack, error) {
	type answer struct {
		ack Ack
		err error
	}
	answered := make(chan answer, 1)
	b.PublishAsync(m, func(a Ack, err error) { answered <- answer{a, err} })
	select {
	case a := <-answered:
		return a.ack, a.err
	case <-ctx.Done():
		return Ack{}, fmt.Errorf("publish to %s: %w", m.Subject, context.Cause(ctx))
	}
}

// confirmed takes one confirmation.
func (b *Bus) confirmed(m *nats.Msg) {
	n, err := strconv.ParseUint(m.Subject[len(b.prefix):], 36, 64)
	if err != nil {
		return
	}
	if m.Header != nil && m.Header.Get("Status") == "503" {
		b.end(n, Ack{}, jetstream.ErrNoStreamResponse)
		return
	}
	ack, err := parseAck(m.Data)
	b.end(n, ack, err)
}

// end ends the wait for one publication, where it has not ended.
func (p *publisher) end(n uint64, ack Ack, err error) {
	p.mu.Lock()
	w := p.waiting[n]
	delete(p.waiting, n)
	p.mu.Unlock()
	if w != nil {
		w.end(ack, err)
	}
}

func (w *publication) end(ack Ack, err error) {
	if err != nil {
		err = fmt.Errorf("publish to %s: %w", w.subject, err)
	}
	w.done(ack, err)
}

// fail ends the wait for those publications that an error concerns.
func (p *publisher) fail(err error, concerned func(*publication) bool) {
	var failed []*publication
	p.mu.Lock()
	for n, w := range p.waiting {
		if concerned(w) {
			failed = append(failed, w)
			delete(p.waiting, n)
		}
	}
	p.mu.Unlock()
	for _, w := range failed {
		w.end(Ack{}, err)
	}
}

// sweep ends the wait for what had no answer in time.
func (p *publisher) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.done:
			return
		case now := <-tick.C:
			p.fail(nats.ErrTimeout, func(w *publication) bool { return now.After(w.deadline) })
		}
	}
}

// parseAck reads a stream's confirmation, or its refusal, which is a *jetstream.APIError.
func parseAck(data []byte) (Ack, error) {
	if ack, ok := plainAck(data); ok {
		return ack, nil
	}
	var r struct {
		Stream    string              `json:"stream"`
		Seq       uint64              `json:"seq"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(data, &r); {
	case err != nil:
		return Ack{}, fmt.Errorf("read the confirmation: %w", err)
	case r.Error != nil:
		return Ack{}, r.Error
	case r.Stream == "":
		return Ack{}, errors.New("read the confirmation: it names no stream")
	}
	return Ack{Stream: r.Stream, Seq: r.Seq, Duplicate: r.Duplicate}, nil
}

// plainAck reads the confirmation that servers write nearly always, {"stream":"NAME","seq":1}, in which NAME needs no escapes.
func plainAck(data []byte) (Ack, bool) {
	rest, ok := bytes.CutPrefix(data, []byte(`{"stream":"`))
	if !ok {
		return Ack{}, false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`"`))
	if !ok || bytes.IndexByte(name, '\\') >= 0 {
		return Ack{}, false
	}
	rest, ok = bytes.CutPrefix(bytes.TrimLeft(rest, ", "), []byte(`"seq":`))
	if !ok {
		return Ack{}, false
	}
	digits, ok := bytes.CutSuffix(bytes.TrimLeft(rest, " "), []byte(`}`))
	if !ok {
		return Ack{}, false
	}
	seq, err := strconv.ParseUint(string(digits), 10, 64)
	return Ack{Stream: string(name), Seq: seq}, err == nil
}
