package bus

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	lanePrefix = "lane-"
	// maxLanes is the number of lanes with a consumer of their own: servers allow 1,000 consumers a stream by default. Lanes
	// beyond it share the consumers of sharedLanes groups.
	maxLanes    = 400
	sharedLanes = 64
)

// LaneToken names a lane in subjects and consumers: by its own token, or where open, the number of tokens in use, says that
// there are too many lanes, by that of a group which shares one.
func LaneToken(lane string, open int) string {
	sum := sha256.Sum256([]byte(lane))
	if open >= maxLanes {
		return fmt.Sprintf("s%02d", int(sum[8])%sharedLanes)
	}
	return hex.EncodeToString(sum[:8])
}

// Park hands an attempt that does not fit its lane to the bus, where it waits under its lane's token. key names
// the attempt: a second parking of it within two minutes is dropped. It blocks until the bus has confirmed it.
func (b *Bus) Park(ctx context.Context, token, id, key string, data []byte) error {
	_, err := b.Publish(ctx, Msg{
		Subject: b.top.waitSubject(token, id), Header: map[string][]string{MsgID: {key + ".wait"}}, Data: data,
	})
	if err != nil {
		return fmt.Errorf("park %s: %w", id, err)
	}
	return nil
}

// OpenLane makes sure that what waits under a token has a consumer.
func (b *Bus) OpenLane(ctx context.Context, token string) error {
	err := b.api(ctx, func(ctx context.Context) error {
		_, err := b.js().CreateOrUpdateConsumer(ctx, b.top.Retries, jetstream.ConsumerConfig{
			Durable: lanePrefix + token, FilterSubject: b.top.waitSubject(token, ">"),
			DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait, MaxDeliver: -1,
			MaxAckPending: maxAckPending, Replicas: b.top.Replicas,
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("open lane %s: %w", token, err)
	}
	return nil
}

// Lane returns a puller of what waits under a token.
func (b *Bus) Lane(token string) (*Puller, error) { return b.puller(b.top.Retries, lanePrefix+token) }

// CloseLane removes a token's consumer where nothing waits under it any more; it tells whether it did.
func (b *Bus) CloseLane(ctx context.Context, token string) (bool, error) {
	closed := false
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		c, err := s.Consumer(ctx, lanePrefix+token)
		if errors.Is(err, jetstream.ErrConsumerNotFound) {
			closed = true
			return nil
		}
		if err != nil {
			return err
		}
		// The consumer's own count lags a little behind what the stream has confirmed, so the stream is asked as well.
		if info := c.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 || info.NumWaiting > 0 {
			return nil
		}
		if waits, err := b.waits(ctx, s, token); err != nil || waits {
			return err
		}
		if err := s.DeleteConsumer(ctx, lanePrefix+token); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
		// Parked by another daemon just now: without a consumer nobody would find it again.
		waits, err := b.waits(ctx, s, token)
		if closed = err == nil && !waits; closed {
			return nil
		}
		return errors.Join(err, b.OpenLane(ctx, token))
	})
	if err != nil {
		return false, fmt.Errorf("close lane %s: %w", token, err)
	}
	return closed, nil
}

// waits tells whether the stream holds anything under a token.
func (b *Bus) waits(ctx context.Context, s jetstream.Stream, token string) (bool, error) {
	_, err := s.GetLastMsgForSubject(ctx, b.top.waitSubject(token, ">"))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil, err
}

// WaitingLanes returns how many attempts wait under each token.
func (b *Bus) WaitingLanes(ctx context.Context) (map[string]uint64, error) {
	waiting := map[string]uint64{}
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		list := s.ListConsumers(ctx)
		for info := range list.Info() {
			if token, ok := strings.CutPrefix(info.Name, lanePrefix); ok {
				waiting[token] = info.NumPending
			}
		}
		return list.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	return waiting, nil
}

// BusyLanes lists the tokens under which something waits or is held, whichever daemon parked it.
func (b *Bus) BusyLanes(ctx context.Context) ([]string, error) {
	var tokens []string
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		list := s.ListConsumers(ctx)
		for info := range list.Info() {
			if token, ok := strings.CutPrefix(info.Name, lanePrefix); ok && (info.NumPending > 0 || info.NumAckPending > 0) {
				tokens = append(tokens, token)
			}
		}
		return list.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list lanes: %w", err)
	}
	return tokens, nil
}
