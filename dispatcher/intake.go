package dispatcher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/event"
	"bellhop/dispatcher/trace"
)

const (
	// eventPullers is how many loops pull events, so that one pull is on its way while another's messages are decoded.
	eventPullers = 2
	// pullExpires is how long a pull stays open: short, since a dead client's open pull is fed once more.
	pullExpires = 2 * time.Second
	// pullBatch is the most that one pull asks for.
	pullBatch = 256
)

// pullEvents pulls events until ctx ends.
func (d *Dispatcher) pullEvents(ctx context.Context) error {
	return d.pull(ctx, "events", d.bus.Events, &d.events, d.takeEvent)
}

// pull hands messages to take until ctx ends, never more than the gate has places for. An error of the source is said, and
// the source opened anew: streams and consumers may be away for a while, and come back.
func (d *Dispatcher) pull(ctx context.Context, name string, open func() (Source, error), g *gate, take func(*bus.Message)) error {
	for wait := 100 * time.Millisecond; ; {
		src, err := open()
		if err == nil {
			err = d.pullFrom(ctx, name, src, g, take, func() { wait = 100 * time.Millisecond })
			src.Close()
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		d.ready.set(name, err)
		d.metrics.BusErrors.WithLabelValues("pull").Inc()
		d.trouble()
		d.log.Warn("cannot pull, trying again", zap.String("from", name), zap.Error(err))
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait = min(2*wait, 2*time.Second)
	}
}

func (d *Dispatcher) pullFrom(ctx context.Context, name string, src Source, g *gate, take func(*bus.Message), well func()) error {
	for {
		if err := d.open.wait(ctx); err != nil {
			return err
		}
		n, err := g.take(ctx, pullBatch)
		if err != nil {
			return err
		}
		// Each message takes its place as it comes, so that what is released is exactly what came not.
		got, err := src.Pull(ctx, n, pullExpires, take)
		g.release(n - got)
		if err != nil {
			return err
		}
		well()
		d.ready.set(name, nil)
	}
}

// intake is what an event is read and rendered in: no delivery keeps anything of it.
type intake struct {
	decoder event.Decoder
	body    []byte
}

var intakes = sync.Pool{New: func() any { return new(intake) }}

// keepBody is the largest body whose memory serves the next.
const keepBody = 64 << 10

func (w *intake) done() {
	w.decoder.Forget()
	if cap(w.body) > keepBody {
		w.body = nil
	}
	intakes.Put(w)
}

// takeEvent takes one event: decides what it triggers, and hands each delivery to its lane or to the bus.
func (d *Dispatcher) takeEvent(m *bus.Message) {
	h := d.hold(m, &d.events)
	if d.stopping.Load() {
		h.giveBack(0)
		d.part(h)
		return
	}
	d.metrics.Events.Inc()
	work := intakes.Get().(*intake)
	defer work.done()
	e, err := work.decoder.Decode(event.Message{
		Stream: m.Stream, Created: *d.created.Load(), Seq: m.Seq, Time: m.Time, Subject: m.Subject,
		Type: d.typeOf(m), Header: m.Header, Data: m.Data,
	}, d.o.MaxEvent)
	if err == nil {
		err = d.outcomesFit(m)
	}
	if err != nil {
		go func() {
			defer d.part(h)
			d.reject(h, err)
		}()
		return
	}
	// Snapshot first: a rule edited mid-event must not apply to half its deliveries.
	rules := d.Rules()
	tr := tracing{context: trace.Of(m.Header)}
	var few [64]byte
	user := delivery.HeaderText(string(e.Data.Field("user").Field("id").AppendText(few[:0])))
	for _, hook := range rules.Set.Match(e, nil) {
		id := delivery.ID(e.Identity, hook.Rule.Name, hook.Name)
		if d.recent.settled(id, 1, 1) {
			d.metrics.Repeated.Inc()
			continue
		}
		if !d.claims.take(id) {
			// The same delivery is under way here: look again when it has its outcome.
			h.giveBack(giveBackAfter)
			continue
		}
		j := &job{
			Job: &delivery.Job{
				ID: id, EventID: e.ID, EventType: e.Type, EventSeq: e.Seq, Rule: hook.Rule.Name, Webhook: hook.Name,
				RulesVersion: rules.Set.Version, RulesSince: rules.Since, Endpoint: hook.Endpoint, MaxAttempts: hook.Retries + 1,
				Run: 1, Attempt: 1, UserID: user, Trace: d.traced(&tr, m, e),
			},
			hook: hook, owner: h, lane: hook.URL.Lane, fresh: true, doubt: d.doubtful(m, id),
		}
		h.pending.Add(1)
		body, err := hook.Render(work.body[:0], e)
		if err != nil {
			go d.end(j, endpointFailure(delivery.KindRender, err.Error()))
			continue
		}
		work.body, j.Body = body, bytes.Clone(body)
		if j.doubt {
			go d.recover(j)
			continue
		}
		d.submit(j)
	}
	tr.end()
	d.part(h)
}

// typeOf is the event type: the subject after the prefix.
func (d *Dispatcher) typeOf(m *bus.Message) string {
	return strings.TrimPrefix(m.Subject, d.o.EventPrefix+".")
}

// outcomesFit refuses an event of which no outcome could be published: its deliveries would never settle.
func (d *Dispatcher) outcomesFit(m *bus.Message) error {
	before := len(d.o.ResultPrefix) + len(".delivered.") // the longest
	if n := before + len(d.typeOf(m)); n > bus.MaxSubject {
		return fmt.Errorf("its type is %d bytes long, at most %d", n-before, bus.MaxSubject-before)
	}
	return nil
}

// submit hands a job to its lane, waits for a moment where the lane is merely busy, and parks it on the bus where it is not.
func (d *Dispatcher) submit(j *job) {
	for {
		switch d.pool.submit(j, fromIntake) {
		case accepted:
			return
		case refused:
			d.abandon(j)
			return
		case full:
		}
		if !d.pool.waitSoon(d.hard, j.lane) {
			break
		}
	}
	go d.park(j)
}

// abandon gives a job back that was not begun.
func (d *Dispatcher) abandon(j *job) {
	d.claims.release(j.ID)
	j.owner.giveBack(0)
	d.part(j.owner)
}

// reject publishes that an event cannot be read; the caller acknowledges it, for it is never redelivered.
func (d *Dispatcher) reject(h *held, why error) {
	m := h.msg
	sum := sha256.Sum256(m.Data)
	id := delivery.RejectedID(m.Stream, m.Seq)
	data, err := delivery.Encode(delivery.Rejected, id, d.o.Node, time.Now(), delivery.Rejection{
		Stream: m.Stream, EventSeq: m.Seq, Subject: m.Subject, Error: &delivery.Error{Kind: delivery.KindEvent, Message: why.Error()},
		Size: len(m.Data), SHA256: hex.EncodeToString(sum[:]),
	})
	if err != nil {
		d.log.Error("encode rejected outcome", zap.Error(err))
		h.giveBack(giveBackAfter)
		return
	}
	d.log.Warn("event rejected", zap.String("stream", m.Stream), zap.Uint64("seq", m.Seq), zap.String("subject", m.Subject), zap.Error(why))
	subject := fmt.Sprintf("%s.%s.%s", d.o.ResultPrefix, delivery.Rejected, d.typeOf(m))
	if len(subject) > bus.MaxSubject {
		// The type's beginning: the data holds the event's whole subject.
		subject = strings.TrimRight(strings.ToValidUTF8(subject[:bus.MaxSubject], ""), ".")
	}
	if _, err := d.publishOutcome(&bus.Msg{
		Subject: subject, Data: data,
		Header: map[string][]string{bus.MsgID: {id}, delivery.HeaderKind: {string(delivery.KindEvent)}},
	}, nil); err != nil {
		h.giveBack(0)
		return
	}
	d.metrics.byOutcome[delivery.Rejected].Inc()
}
