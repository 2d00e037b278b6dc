package bus

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Passing tells whether an error is one that waiting may mend: the bus does not answer, or not yet.
func Passing(err error) bool {
	var denied *PermissionError
	if errors.As(err, &denied) {
		return false
	}
	for _, passing := range []error{
		nats.ErrTimeout, nats.ErrNoResponders, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrReconnectBufExceeded,
		nats.ErrConnectionReconnecting, context.DeadlineExceeded, jetstream.ErrNoStreamResponse, ErrGone, ErrAway,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	var api *jetstream.APIError
	return errors.As(err, &api) && api.Code == 503
}
