// Package bus is Bellhop's only door to NATS JetStream: streams, consumers, publishing, schedules and the embedded server.
// It knows nothing of rules or of what a delivery means.
package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options says how to reach a server.
type Options struct {
	URL         string  // nats://host:port, comma separated for several; "" with Server
	Server      *Server // an embedded server, reached in process; wins over URL
	Name        string  // the connection's name, for the server's monitoring
	Credentials string  // a .creds file
	User        string
	Password    string
	Token       string
	NKey        string // a file holding an nkey seed
	CA          string // files, PEM
	Cert        string
	Key         string

	// Persist keeps trying to connect until the context ends where nothing answers yet; what the server refuses (credentials,
	// certificates) is an error all the same.
	Persist bool
	// Log is told of disconnects, reconnects and asynchronous errors in words for people; nil tells nobody.
	Log func(text string, err error)
}

// apiTimeout bounds one request of set-up.
const apiTimeout = 5 * time.Second

// Bus is a connection to JetStream, made anew whenever it breaks. It is safe for concurrent use.
type Bus struct {
	log func(string, error)
	connection

	once      sync.Once
	top       Topology    // written once, by the first Setup
	scheduled atomic.Bool // the retries' stream has message schedules

	alive   atomic.Pointer[lifetime]
	changed chan struct{} // one slot: the connection broke or came back since it was last looked at

	outcomeMax atomic.Int64 // the outcomes' stream's max_msg_size in bytes; not positive: none

	events    progress      // of the events' consumer
	overdueAt atomic.Uint64 // the last message that Renew has read
	stranded  stranded
	denied    denials
	publisher
}

// Connect connects and asks whether JetStream is there. Errors name what to mend. It blocks until the server has answered
// or refused, or ctx ends.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	b := &Bus{log: o.Log, changed: make(chan struct{}, 1), connection: connection{opened: make(chan struct{}), closing: make(chan struct{})}}
	b.alive.Store(newLifetime())
	if b.log == nil {
		b.log = func(string, error) {}
	}
	var err error
	if b.options, err = b.optionsOf(o); err != nil {
		return nil, err
	}
	b.url = o.URL
	if o.Server != nil {
		b.url = "nats://embedded"
	}
	for wait := redialFirst; ; wait = min(2*wait, redialMost) {
		err = b.dial()
		if err == nil {
			break
		}
		err = connectError(o, err)
		if !o.Persist || !unreachable(err) {
			return nil, err
		}
		b.log("the NATS server cannot be reached, trying again", err)
		select {
		case <-ctx.Done():
			return nil, errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
	err = b.openPublisher()
	close(b.opened)
	if err == nil {
		err = b.probe(ctx, o.Persist)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// probe asks whether JetStream is enabled for the account. A server that has just started may need a moment to say.
func (b *Bus) probe(ctx context.Context, persist bool) error {
	for {
		err := b.api(ctx, func(ctx context.Context) error {
			_, err := b.js().AccountInfo(ctx)
			return err
		})
		var denied *PermissionError
		switch {
		case errors.As(err, &denied) && denied.deaf():
			// Without its inbox no answer reaches it, to no request.
			return denied
		case err == nil, errors.As(err, &denied):
			// Account information is a convenience: a user who may not ask for it may still do all that Bellhop needs.
			return nil
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return fmt.Errorf("JetStream is not enabled at %s: start nats-server with -js, or enable it for the account: %w", b.Address(), err)
		case !persist || ctx.Err() != nil:
			return fmt.Errorf("ask %s for JetStream: %w", b.Address(), err)
		}
		b.log("JetStream does not answer yet, trying again", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// writeWithin bounds a write to the server. A connection that takes longer is given up and made anew.
const writeWithin = 5 * time.Second

func (b *Bus) optionsOf(o Options) ([]nats.Option, error) {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 250*time.Millisecond),
		nats.Timeout(5 * time.Second),
		// A half-dead connection is noticed within 15 s rather than the default 4 minutes.
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		// A server that no longer reads blocks whoever writes, and with it whoever asks the connection anything, pings included:
		// for a minute by default.
		nats.FlusherTimeout(writeWithin),
		nats.ReconnectOnFlusherError(),
		// Nothing is buffered while the bus is away: what could not be published is published again by its owner.
		nats.ReconnectBufSize(-1),
		nats.RetryOnFailedConnect(false),
		nats.IgnoreAuthErrorAbort(),
		nats.ErrorHandler(b.asyncError),
		nats.DisconnectErrHandler(func(nc *nats.Conn, err error) {
			if nc.IsClosed() {
				return
			}
			b.log("disconnected from NATS, reconnecting", err)
			b.broke()
		}),
		nats.ClosedHandler(b.closed),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.log("reconnected to NATS at "+nc.ConnectedUrlRedacted(), nil)
			b.signal()
		}),
	}
	if o.Server != nil {
		opts = append(opts, nats.InProcessServer(o.Server))
	}
	if o.Credentials != "" {
		opts = append(opts, nats.UserCredentials(o.Credentials))
	}
	if o.User != "" || o.Password != "" {
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	if o.Token != "" {
		opts = append(opts, nats.Token(o.Token))
	}
	if o.NKey != "" {
		nkey, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("nats.nkey: read the seed in %s: %w", o.NKey, err)
		}
		opts = append(opts, nkey)
	}
	if o.CA != "" {
		opts = append(opts, nats.RootCAs(o.CA))
	}
	if o.Cert != "" || o.Key != "" {
		opts = append(opts, nats.ClientCert(o.Cert, o.Key))
	}
	return opts, nil
}

// connectError says of a failed connection which server it was and what to mend.
func connectError(o Options, err error) error {
	at := Redact(o.URL)
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), strings.Contains(err.Error(), "Authorization Violation"):
		return fmt.Errorf("NATS at %s refused the credentials: set nats.credentials, nats.user and nats.password, nats.token or nats.nkey: %w", at, err)
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted), strings.Contains(err.Error(), "tls:"),
		strings.Contains(err.Error(), "x509:"):
		return fmt.Errorf("TLS with NATS at %s: see nats.tls: %w", at, err)
	}
	return fmt.Errorf("connect to NATS at %s: %w", at, err)
}

// unreachable tells whether a server may answer yet: nobody listened, a name did not resolve, a connection timed out.
func unreachable(err error) bool {
	if strings.Contains(err.Error(), "TLS with NATS") || strings.Contains(err.Error(), "refused the credentials") {
		return false
	}
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || strings.Contains(err.Error(), "dial ") ||
		strings.Contains(err.Error(), "i/o timeout") || strings.Contains(err.Error(), "EOF") || strings.Contains(err.Error(), "connection re")
}

// Redact returns a server list without passwords and tokens.
func Redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, u := range list {
		scheme, rest, ok := strings.Cut(strings.TrimSpace(u), "://")
		if !ok {
			scheme, rest = "nats", strings.TrimSpace(u)
		}
		if at := strings.LastIndexByte(rest, '@'); at >= 0 {
			rest = rest[at+1:]
		}
		list[i] = scheme + "://" + rest
	}
	return strings.Join(list, ",")
}

// lifetime is that of one connection: it ends when that breaks.
type lifetime struct {
	ctx context.Context // the connection's own, not a call's
	end context.CancelFunc
}

func newLifetime() *lifetime {
	l := &lifetime{}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

func (b *Bus) life() context.Context { return b.alive.Load().ctx }

// MaxPayload is the largest message that the server and the outcomes' stream take, in bytes.
func (b *Bus) MaxPayload() int {
	n := b.nc().MaxPayload()
	if limit := b.outcomeMax.Load(); limit > 0 {
		n = min(n, limit)
	}
	return int(n)
}

// Address is the server now connected to, without credentials.
func (b *Bus) Address() string {
	if u := b.nc().ConnectedUrlRedacted(); u != "" {
		return u
	}
	return "nats"
}

// Connected tells whether the connection stands now.
func (b *Bus) Connected() bool { return b.nc().IsConnected() }

// Changed is signalled after the connection broke or came back: streams and consumers are then to be looked at again.
func (b *Bus) Changed() <-chan struct{} { return b.changed }

func (b *Bus) signal() {
	select {
	case b.changed <- struct{}{}:
	default:
	}
}

// Flush waits until the server has seen all that was sent so far, for at most five seconds.
func (b *Bus) Flush(ctx context.Context) error { return flush(ctx, b.nc()) }

func flush(ctx context.Context, nc *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// broke ends what was under way on a connection.
func (b *Bus) broke() {
	b.alive.Swap(newLifetime()).end()
	b.fail(ErrAway, func(*publication) bool { return true })
	b.signal()
}

// Close closes the connection. What was not confirmed by then may be lost to the caller, not to the bus.
func (b *Bus) Close() {
	b.hangUp()
	b.alive.Load().end()
	b.closePublisher()
}
