package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// LaneHold holds an endpoint's lane back on every daemon.
type LaneHold struct {
	Lane  string    `json:"lane,omitempty"`  // scheme://host:port; "" where it is hidden from the bus
	Token string    `json:"-"`               // of what is received, the lane's LaneToken
	Until time.Time `json:"until,omitzero"`  // nothing begins before; the zero time with Paused false holds nothing
	Pause bool      `json:"pause,omitempty"` // until it is resumed by hand
	By    string    `json:"by,omitempty"`    // who asked for it

	Hidden bool `json:"-"` // the lane holds a secret: the bus and other daemons are told its token alone
}

func (t Topology) laneSubject(token string) string { return t.Retries + ".lane." + token }

// HoldLane makes a hold known to every daemon, those that start later included, in place of an earlier one of the same lane.
// It blocks until the bus has confirmed it.
func (b *Bus) HoldLane(ctx context.Context, h LaneHold) error {
	token, name := LaneToken(h.Lane, 0), h.Lane
	if h.Hidden {
		h.Lane, name = "", token
	}
	data, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("hold lane %s: %w", name, err)
	}
	_, err = b.Publish(ctx, Msg{
		Subject: b.top.laneSubject(token), Data: data,
		// The latest word about a lane is the only one that is kept.
		Header: map[string][]string{nats.MsgRollup: {nats.MsgRollupSubject}},
	})
	if err != nil {
		return fmt.Errorf("hold lane %s: %w", name, err)
	}
	return nil
}

// readHold reads a hold that came on a subject, and tells whether it is one.
func (t Topology) readHold(subject string, data []byte) (LaneHold, bool) {
	var h LaneHold
	if json.Unmarshal(data, &h) != nil {
		return h, false
	}
	h.Token = strings.TrimPrefix(subject, t.laneSubject(""))
	return h, h.Lane == "" || h.Token == LaneToken(h.Lane, 0)
}

// WatchLanes calls handle for each hold that any daemon makes known from now on, until stop is called.
func (b *Bus) WatchLanes(handle func(LaneHold)) (stop func(), err error) {
	// What a stream takes is heard by those who listen to its subjects: no consumer is needed for news.
	stop, err = b.listen(b.top.laneSubject("*"), func(m *nats.Msg) {
		if h, ok := b.top.readHold(m.Subject, m.Data); ok {
			handle(h)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("watch lanes: %w", err)
	}
	return stop, nil
}

// LaneHolds lists the holds now known, one a lane.
func (b *Bus) LaneHolds(ctx context.Context) ([]LaneHold, error) {
	var holds []LaneHold
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil || s.CachedInfo().State.Msgs == 0 {
			return err
		}
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(b.top.laneSubject("*")))
		if err != nil {
			return err
		}
		for subject := range info.State.Subjects {
			m, err := s.GetLastMsgForSubject(ctx, subject)
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			if h, ok := b.top.readHold(subject, m.Data); ok {
				holds = append(holds, h)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list held lanes: %w", err)
	}
	return holds, nil
}
