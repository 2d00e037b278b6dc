package bus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// connection is the connection to the server. The client makes it anew by itself where it breaks, but gives it up for good on any
// error of the server's that it does not know, as of a message that is larger than the server takes by now. Then another one takes
// its place, with the same subscriptions.
type connection struct {
	url     string
	options []nats.Option

	current atomic.Pointer[line]
	opened  chan struct{} // closed once the publisher is open: no other connection is made before
	closing chan struct{} // closed by Close

	linesMu   sync.Mutex // of what follows, and of storing current
	listeners map[*listener]struct{}
	hungUp    bool
	redials   sync.WaitGroup
	wait      time.Duration // before the next redial
}

// line is one connection as the client knows it.
type line struct {
	nc    *nats.Conn
	js    jetstream.JetStream
	since time.Time
}

// listener is a subscription that outlives its connection.
type listener struct {
	subject string
	handle  nats.MsgHandler
	sub     *nats.Subscription // nil before the first connection that it could listen on
}

const (
	redialFirst = 250 * time.Millisecond
	redialMost  = 5 * time.Second
	// redialCalm is how long a connection lasts after which the next redial comes soon again. What the server closes connections for
	// may be a message that comes again.
	redialCalm = time.Minute
)

func (c *connection) nc() *nats.Conn { return c.current.Load().nc }

func (c *connection) js() jetstream.JetStream { return c.current.Load().js }

var errHungUp = errors.New("the bus is closed")

// dial makes a connection and puts it in the place of the last.
func (c *connection) dial() error {
	nc, err := nats.Connect(c.url, c.options...)
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		nc.Close()
		return err
	}
	c.linesMu.Lock()
	defer c.linesMu.Unlock()
	switch {
	case c.hungUp:
		err = errHungUp
	case nc.IsClosed():
		// closed was told of it while this was not the current one, and will not be told again.
		err = nats.ErrConnectionClosed
	}
	for l := range c.listeners {
		if err == nil {
			err = l.listen(nc)
		}
	}
	if err != nil {
		nc.Close()
		return err
	}
	c.current.Store(&line{nc: nc, js: js, since: time.Now()})
	return nil
}

// listen calls handle for what comes on a subject, on this connection and those after it, until stop is called.
func (c *connection) listen(subject string, handle nats.MsgHandler) (stop func(), err error) {
	c.linesMu.Lock()
	defer c.linesMu.Unlock()
	l := &listener{subject: subject, handle: handle}
	// On one that is closed nobody can listen, but on the one that takes its place.
	if nc := c.nc(); !nc.IsClosed() || c.hungUp {
		if err := l.listen(nc); err != nil {
			return nil, err
		}
	}
	if c.listeners == nil {
		c.listeners = map[*listener]struct{}{}
	}
	c.listeners[l] = struct{}{}
	return func() {
		c.linesMu.Lock()
		defer c.linesMu.Unlock()
		delete(c.listeners, l)
		if l.sub != nil {
			_ = l.sub.Unsubscribe()
		}
	}, nil
}

func (l *listener) listen(nc *nats.Conn) error {
	sub, err := nc.Subscribe(l.subject, l.handle)
	if err == nil {
		// What comes is bounded: by what was published, or by how often people and daemons speak up.
		err = sub.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", l.subject, err)
	}
	l.sub = sub
	return nil
}

// closed is told of a connection that the client has given up, or that was hung up.
func (b *Bus) closed(nc *nats.Conn) {
	b.linesMu.Lock()
	defer b.linesMu.Unlock()
	at := b.current.Load()
	if b.hungUp || at == nil || at.nc != nc {
		return
	}
	b.log("the NATS server closed the connection for good, making another", nc.LastError())
	if time.Since(at.since) > redialCalm {
		b.wait = 0
	}
	b.redials.Go(b.redial)
}

// redial makes another connection, for as long as it takes.
func (b *Bus) redial() {
	b.broke()
	select {
	case <-b.opened:
	case <-b.closing:
		return
	}
	for {
		b.wait = min(max(2*b.wait, redialFirst), redialMost)
		select {
		case <-b.closing:
			return
		case <-time.After(b.wait):
		}
		err := b.dial()
		if err == nil {
			b.log("connected to NATS anew at "+b.nc().ConnectedUrlRedacted(), nil)
			b.signal()
			return
		}
		if errors.Is(err, errHungUp) {
			return
		}
		b.log("the NATS server cannot be reached, trying again", err)
	}
}

// hangUp closes the connection, and no other takes its place.
func (c *connection) hangUp() {
	c.linesMu.Lock()
	again := c.hungUp
	c.hungUp = true
	c.linesMu.Unlock()
	if !again {
		close(c.closing)
	}
	c.redials.Wait()
	c.nc().Close()
}
