package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// overdueAfter is how long a due schedule has before it counts as forgotten: a busy server fires late, but not by that much.
	overdueAfter = 10 * time.Second
	// overdueLook is how many messages one look reads where none of them is an overdue schedule: a request each.
	overdueLook = 1000
)

// Renew schedules again what should have fired by the server's clock and did not; it returns how many. A server that had no
// room for an attempt when it fell due does not try it a second time until it is started again (seen with nats-server 2.15.2).
// Each call reads on where the last one ended, a bounded number of messages. To be called every half minute.
func (b *Bus) Renew(ctx context.Context) (int, error) {
	if !b.Schedules() {
		return 0, nil
	}
	renewed := 0
	err := b.api(ctx, func(ctx context.Context) error {
		s, err := b.js().Stream(ctx, b.top.Retries)
		if err != nil {
			return err
		}
		// What is scheduled again here comes behind the last one.
		now, last := s.CachedInfo().TimeStamp, s.CachedInfo().State.LastSeq
		for sound := 0; sound < overdueLook; {
			// Of any subject: to find the next schedule among thousands a server goes through all subjects of a block, and holds up
			// the stream meanwhile.
			m, err := s.GetMsg(ctx, b.overdueAt.Load()+1, jetstream.WithGetMsgSubject(">"))
			if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > last {
				b.overdueAt.Store(0)
				return nil
			}
			if err != nil {
				return err
			}
			b.overdueAt.Store(m.Sequence)
			id, scheduled := strings.CutPrefix(m.Subject, b.top.atSubject(""))
			if !scheduled {
				sound++
				continue
			}
			due, err := time.Parse("@at "+time.RFC3339Nano, m.Header.Get(scheduleHeader))
			if err != nil || now.Sub(due) < overdueAfter {
				sound++
				continue
			}
			_, err = b.Schedule(ctx, Retry{
				ID: id, Due: due, Replaces: m.Sequence, Data: m.Data,
			})
			switch {
			case errors.Is(err, ErrScheduled): // it has fired, or has been replaced, meanwhile
			case err != nil:
				return err
			default:
				renewed++
			}
		}
		return nil
	})
	if err != nil {
		return renewed, fmt.Errorf("look for overdue schedules in %s: %w", b.top.Retries, err)
	}
	return renewed, nil
}
