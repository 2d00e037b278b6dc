package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"bellhop/dispatcher/delivery"
)

const (
	defaultWorkers     = 256
	defaultPerEndpoint = 64
	defaultTimeout     = 10 * time.Second

	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 64 << 10 // of a response; an endless one must not fill the memory

	// handshakeTimeout bounds the one handshake that does not know its attempt's deadline: through a proxy.
	handshakeTimeout = 30 * time.Second

	// An HTTP/2 connection whose peer is gone takes new requests until somebody asks whether it lives.
	pingAfter   = 15 * time.Second
	pingTimeout = 10 * time.Second
)

// errAttemptTimeout is the cause of the deadline of one attempt.
var errAttemptTimeout = errors.New("the attempt's time is over")

// ClientOptions configures a Client.
type ClientOptions struct {
	AllowNetworks []netip.Prefix // what may be called besides globally routable addresses; metadata addresses only as single addresses
	Proxy         *url.URL       // http, https or socks5. nil: none; the environment's proxies are never used
	Workers       int            // POSTs in flight, at most; sizes the idle connections. 0 means 256.
	PerEndpoint   int            // of those, to one endpoint; 0 means 64
	RootCAs       *x509.CertPool // who may sign an endpoint's certificate; nil means the system's
	Lanes         map[string]TLS // by URL.Lane, what single endpoints have of their own

	// Lookup resolves a host name; nil means the system's resolver. It must honour ctx.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address that has been checked, always an IP and a port; nil means over TCP. It must honour ctx.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client POSTs to endpoints: keep-alive, no redirects, addresses checked at dial time. HTTP/1.1 it speaks itself; what is
// behind a proxy or speaks HTTP/2 is net/http's. It is safe for concurrent use.
type Client struct {
	direct    *direct // nil where there is a proxy
	transport *http.Transport
	lanes     map[string]*http.Transport // of those that have a TLS of their own
	guard     guard
	proxied   bool
}

// NewClient allocates a client.
func NewClient(o ClientOptions) *Client {
	if o.Workers <= 0 {
		o.Workers = defaultWorkers
	}
	if o.PerEndpoint <= 0 {
		o.PerEndpoint = defaultPerEndpoint
	}
	c := &Client{guard: newGuard(o), proxied: o.Proxy != nil, lanes: map[string]*http.Transport{}}
	shared := dialer{guard: c.guard, tls: &tls.Config{
		MinVersion: tls.VersionTLS12,
		RootCAs:    o.RootCAs,
		NextProtos: []string{"h2", "http/1.1"},
	}}
	own := make(map[string]dialer, len(o.Lanes))
	for lane, t := range o.Lanes {
		own[lane] = dialer{guard: c.guard, tls: t.over(shared.tls)}
	}
	if !c.proxied {
		// In all twice the workers: so many little endpoints do not push each other's out at every turn.
		c.direct = &direct{dialer: shared, own: own, idle: newPool(o.PerEndpoint, 2*o.Workers, idleTimeout)}
	}
	c.transport = c.newTransport(o, shared)
	for lane, d := range own {
		c.lanes[lane] = c.newTransport(o, d)
	}
	return c
}

func (c *Client) newTransport(o ClientOptions, d dialer) *http.Transport {
	if c.direct != nil {
		d.found = c.direct.found
	}
	t := &http.Transport{
		DialContext:            d.dial,
		DialTLSContext:         d.dialTLS,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           2 * o.Workers,
		MaxIdleConnsPerHost:    o.PerEndpoint,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		// Compression off: asks for none, and unpacks none, so that what is read is bounded by what was sent.
		DisableCompression: true,
		HTTP2:              &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTimeout},
	}
	if o.Proxy != nil {
		d.useProxy(t, o.Proxy)
	}
	return t
}

// Header is one header of a request.
type Header struct{ Name, Value string }

// Request is one POST.
type Request struct {
	URL     URL
	Headers []Header      // all of them, Content-Type and webhook-* included; names go out as written where HTTP/1.1 lets them
	Body    []byte        // must not change until well after Post returned: a connection being closed may still read it
	Timeout time.Duration // from the start to the response's headers, connection included, and to the end of the body read; 0 means 10 s
}

// Response is what came of one POST.
type Response struct {
	Started    time.Time
	Duration   time.Duration   // to the end of the attempt
	Status     int             // 0 where no response came
	RetryAfter time.Duration   // 0 where none; only on 429 and 503, an hour at most
	Body       []byte          // the first 1 KiB at most
	Truncated  bool            // there was more than Body holds
	Err        *delivery.Error // nil on any 2xx
}

// Post sends one request, once: it goes out again by itself only where none of it can have been handled.
// It blocks until the attempt ended, at its timeout at the latest; the cancellation of ctx ends it early with kind
// cancelled. A 2xx is a success whatever becomes of its body, of which at most 16 KiB are read.
func (c *Client) Post(ctx context.Context, r Request) Response {
	if r.Timeout <= 0 {
		r.Timeout = defaultTimeout
	}
	out := Response{Started: time.Now()}
	c.post(ctx, r, &out)
	out.Duration = time.Since(out.Started)
	return out
}

func (c *Client) post(ctx context.Context, r Request, out *Response) {
	err := r.check()
	var given *http2Conn
	if err == nil && c.direct != nil && c.direct.speaks(r.URL) {
		if err = c.direct.post(ctx, &r, out); err == nil {
			return
		}
		found, ok := errors.AsType[*http2Conn](err)
		if !ok {
			out.Err = failure{timeout: r.Timeout, quiet: r.URL.quiet}.classify(ctx, err)
			return
		}
		given, err = found, nil // the endpoint has just turned out to speak HTTP/2
	}
	if given == nil {
		given = new(http2Conn)
	}
	ctx, cancel := context.WithDeadlineCause(ctx, out.Started.Add(r.Timeout), errAttemptTimeout)
	defer cancel()
	if err == nil && c.proxied {
		// The proxy resolves the name again: this keeps rule files from reaching around the list, not a hostile name server.
		_, err = c.guard.checked(ctx, r.URL.Wire.Hostname())
	}
	var resp *http.Response
	if err == nil {
		dialing := withDial(ctx, dial{deadline: out.Started.Add(r.Timeout), lane: r.URL.Lane, given: given})
		// RoundTrip and not http.Client: nothing follows a redirect, and a 3xx is one more status.
		resp, err = c.transportOf(r.URL.Lane).RoundTrip(newRequest(dialing, r))
		given.drop()
		if err != nil {
			err = given.reason(ctx, err)
		}
	}
	if err == nil && resp.StatusCode < 100 {
		_ = resp.Body.Close()
		err = errMalformed
	}
	if err != nil {
		out.Err = failure{timeout: r.Timeout, quiet: r.URL.quiet}.classify(ctx, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()

	out.Status = resp.StatusCode
	out.RetryAfter = retryAfter(resp.StatusCode, resp.Header.Get("Retry-After"), time.Now())
	out.Body, out.Truncated = readBody(resp)
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		out.Err = &delivery.Error{Kind: delivery.KindStatus, Message: statusText(resp.StatusCode)}
	}
}

func (c *Client) transportOf(lane string) *http.Transport {
	if t := c.lanes[lane]; t != nil {
		return t
	}
	return c.transport
}

// check refuses a request that no URL was parsed for.
func (r Request) check() error {
	if r.URL.Wire == nil {
		return errors.New("no endpoint")
	}
	return nil
}

// Close ends idle connections. Attempts under way are not touched; their connections end when they do.
func (c *Client) Close() {
	if c.direct != nil {
		c.direct.idle.close()
	}
	c.transport.CloseIdleConnections()
	for _, t := range c.lanes {
		t.CloseIdleConnections()
	}
}

// payload is a body that net/http can rewind without knowing what it is.
type payload struct{ bytes.Reader }

func (*payload) Close() error { return nil }

func newRequest(ctx context.Context, r Request) *http.Request {
	req := (&http.Request{
		Method: http.MethodPost,
		URL:    r.URL.Wire,
		Host:   r.URL.Wire.Host,
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: wireHeader(r.Headers),
		Body:   http.NoBody,
	}).WithContext(ctx)
	if len(r.Body) == 0 {
		return req
	}
	req.ContentLength = int64(len(r.Body))
	body := new(payload)
	body.Reset(r.Body)
	req.Body = body
	// The transport asks for it again where the connection it took from the pool turned out closed before a byte went out.
	req.GetBody = func() (io.ReadCloser, error) {
		again := new(payload)
		again.Reset(r.Body)
		return again, nil
	}
	return req
}

// wireHeader sets names as they are written, which Header.Set would not.
func wireHeader(headers []Header) http.Header {
	h := make(http.Header, len(headers)+1)
	values := make([]string, len(headers))
	for i, header := range headers {
		name := header.Name
		if strings.EqualFold(name, "User-Agent") {
			name = "User-Agent" // else net/http adds its own
		}
		name = wireName(name)
		if have, ok := h[name]; ok {
			h[name] = append(have, header.Value)
			continue
		}
		values[i] = header.Value
		h[name] = values[i : i+1 : i+1]
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // none rather than net/http's
	}
	return h
}
