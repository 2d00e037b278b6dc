package bus

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// peersSubject is where daemons of one cluster ask for each other. No stream takes it: it is not below the stream's own subjects.
func (t Topology) peersSubject() string { return "bellhop.peers." + t.Retries }

// AnswerPeers answers whoever asks which daemons are there, until stop is called.
func (b *Bus) AnswerPeers(describe func() []byte) (stop func(), err error) {
	stop, err = b.listen(b.top.peersSubject(), func(m *nats.Msg) {
		if m.Reply != "" {
			_ = m.Respond(describe())
		}
	})
	if err != nil {
		return nil, fmt.Errorf("answer other daemons: %w", err)
	}
	return stop, nil
}

// Peers asks which daemons are there, this one included, and collects what comes within a time. It gives an error where the user
// may not ask.
func (b *Bus) Peers(ctx context.Context, within time.Duration) ([][]byte, error) {
	nc := b.nc()
	if !nc.IsConnected() {
		return nil, fmt.Errorf("ask for other daemons: %w", ErrAway)
	}
	const most = 1000
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask for other daemons: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	mark := b.denied.mark()
	subject := b.top.peersSubject()
	if err := nc.PublishRequest(subject, inbox, nil); err != nil {
		return nil, fmt.Errorf("ask for other daemons: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var list [][]byte
	for len(list) < most {
		m, err := sub.NextMsgWithContext(ctx)
		if err != nil {
			break
		}
		if m.Header.Get("Status") == "" {
			list = append(list, m.Data)
		}
	}
	if denied, _ := b.denied.since(mark, publishing(subject)); denied != nil {
		return list, denied
	}
	return list, nil
}
