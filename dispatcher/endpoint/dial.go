package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// dialStagger is how long one address is waited for before the next is tried beside it (RFC 8305, 5).
const dialStagger = 250 * time.Millisecond

// blockedError says that an address is not called.
type blockedError struct {
	addr   netip.Addr
	reason string
}

func (e *blockedError) Error() string { return "address " + e.addr.String() + " " + e.text() }

func (e *blockedError) text() string {
	if e.reason == reasonMetadata {
		return "is not allowed (" + e.reason + "): only an entry of its own in delivery.allow_networks allows it"
	}
	return "is not allowed (" + e.reason + "): see delivery.allow_networks"
}

// dialError says what could not be done on the way to a connection, and keeps what must not always be shown apart.
type dialError struct {
	verb string // lookup, connect to
	what string // the host, or an address and port
	err  error
}

func (e *dialError) Error() string { return e.verb + " " + e.what + ": " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// guard resolves hosts and tells whether what they resolve to may be called.
type guard struct {
	allow  []netip.Prefix
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	open   func(ctx context.Context, network, addr string) (net.Conn, error)
}

func newGuard(o ClientOptions) guard {
	g := guard{allow: o.AllowNetworks, lookup: o.Lookup, open: o.Dial}
	if g.lookup == nil {
		g.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if g.open == nil {
		d := net.Dialer{}
		if o.Proxy == nil {
			// A second look at the address in the very moment it is used: no bug above can get around it.
			d.ControlContext = g.control
		}
		g.open = d.DialContext
	}
	return g
}

func (g guard) control(_ context.Context, _, addr string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return err
	}
	return g.check(ap.Addr())
}

func (g guard) check(a netip.Addr) error {
	if reason := Forbidden(a, g.allow); reason != "" {
		return &blockedError{addr: a.Unmap(), reason: reason}
	}
	return nil
}

// resolve lists the addresses of a host. One that is an address, in whatever spelling, is never looked up: what other
// resolvers make of 0x7f.1 is theirs.
func (g guard) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, ok := spelledAddr(host); ok {
		return []netip.Addr{a}, nil
	}
	if isLocalhost(host) {
		// Loopback by its definition (RFC 6761, 6.3), whatever a resolver says, and with a trailing dot too.
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
	}
	addrs, err := g.lookup(ctx, host)
	if err == nil && len(addrs) == 0 {
		err = &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	if err != nil {
		return nil, &dialError{verb: "lookup", what: host, err: err}
	}
	return addrs, nil
}

// checked is resolve where every address may be called. One that may not forbids them all: a name that points inside
// as well as outside is either a mistake or an attempt to get in by luck.
func (g guard) checked(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := g.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if err := g.check(a); err != nil {
			return nil, err
		}
	}
	return addrs, nil
}

// dial is what a dial knows of the attempt that it is for. The transport dials under a context that keeps the values of
// the attempt's and not its end, so that a dial for a hung endpoint would otherwise outlive its attempt.
type dial struct {
	deadline time.Time
	lane     string
	given    *http2Conn // may hold a connection that is there already
}

type dialKey struct{}

func withDial(ctx context.Context, d dial) context.Context {
	return context.WithValue(ctx, dialKey{}, d)
}

func dialOf(ctx context.Context) dial {
	d, ok := ctx.Value(dialKey{}).(dial)
	if !ok {
		d.deadline = time.Now().Add(handshakeTimeout)
	}
	return d
}

func untilDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithDeadlineCause(ctx, dialOf(ctx).deadline, errAttemptTimeout)
}

// dialer makes connections.
type dialer struct {
	guard guard
	tls   *tls.Config
	found func(lane, protocol string) // hears what a handshake has settled; nil: nobody does
}

// dial connects to an endpoint, each of whose addresses may be called.
func (d dialer) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	ctx, cancel := untilDeadline(ctx)
	defer cancel()
	return d.connect(ctx, addr, d.guard.checked)
}

// dialTLS is dial with the handshake after it.
func (d dialer) dialTLS(ctx context.Context, _, addr string) (net.Conn, error) {
	about := dialOf(ctx)
	if conn := about.given.take(); conn != nil {
		return conn, nil
	}
	ctx, cancel := untilDeadline(ctx)
	defer cancel()
	conn, err := d.connect(ctx, addr, d.guard.checked)
	if err != nil {
		return nil, err
	}
	late := newLateConn(conn)
	secure, err := d.handshake(ctx, late, addr, d.tls)
	if err != nil {
		return nil, err
	}
	about.given.made(secure, late)
	if d.found != nil {
		d.found(about.lane, secure.ConnectionState().NegotiatedProtocol)
	}
	return secure, nil
}

func (d dialer) handshake(ctx context.Context, conn net.Conn, addr string, config *tls.Config) (*tls.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	config = config.Clone()
	config.ServerName = host
	if a, ok := spelledAddr(host); ok {
		config.ServerName = a.String() // certificates name addresses in their one form
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, attemptEnd(ctx, err)
	}
	return secure, nil
}

// connect tries the addresses of a host in the order the resolver gave them, the next beside the last when that takes
// long, and gives the first connection.
func (d dialer) connect(ctx context.Context, addr string, resolve func(context.Context, string) ([]netip.Addr, error)) (net.Conn, error) {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, err
	}
	addrs, err := resolve(ctx, host)
	if err != nil {
		return nil, attemptEnd(ctx, err)
	}
	if len(addrs) == 1 {
		conn, err := d.open(ctx, netip.AddrPortFrom(addrs[0], uint16(port)))
		return conn, attemptEnd(ctx, err)
	}
	conn, err := d.race(ctx, addrs, uint16(port))
	return conn, attemptEnd(ctx, err)
}

func (d dialer) open(ctx context.Context, ap netip.AddrPort) (net.Conn, error) {
	conn, err := d.guard.open(ctx, "tcp", ap.String())
	if err != nil {
		return nil, &dialError{verb: "connect to", what: ap.String(), err: err}
	}
	return conn, nil
}

func (d dialer) race(ctx context.Context, addrs []netip.Addr, port uint16) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	started, pending := 0, 0
	start := func() {
		ap := netip.AddrPortFrom(addrs[started], port)
		started++
		pending++
		go func() {
			conn, err := d.open(ctx, ap)
			results <- result{conn, err}
		}()
	}
	stagger := time.NewTimer(dialStagger)
	defer stagger.Stop()

	var won net.Conn
	var firstErr error
	start()
	for pending > 0 {
		select {
		case <-stagger.C:
			if won == nil && started < len(addrs) && ctx.Err() == nil {
				start()
				stagger.Reset(dialStagger)
			}
		case r := <-results:
			pending--
			switch {
			case r.err == nil && won == nil:
				won = r.conn
				cancel() // and wait: the losers end at once, and none may be left behind
			case r.err == nil:
				_ = r.conn.Close()
			default:
				if firstErr == nil {
					firstErr = r.err
				}
				if won == nil && started < len(addrs) && ctx.Err() == nil {
					start()
					stagger.Reset(dialStagger)
				}
			}
		}
	}
	if won != nil {
		return won, nil
	}
	return nil, firstErr
}

// attemptEnd puts the end of the attempt in the place of what it brought about.
func attemptEnd(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), errAttemptTimeout) {
		return errAttemptTimeout
	}
	return err
}

// isLocalhost tells whether a host is localhost or a name under it, with a trailing dot; the bare name is the resolver's, which
// knows both families.
func isLocalhost(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return (name == "localhost" && strings.HasSuffix(host, ".")) || strings.HasSuffix(name, ".localhost")
}
