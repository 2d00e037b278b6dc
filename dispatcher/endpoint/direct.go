package endpoint

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"

	"bellhop/dispatcher/delivery"
)

const (
	firstRead  = 4 << 10  // room for the head of a response, and most bodies
	firstWrite = 64 << 10 // of a request, so much is put together for one write
)

// direct speaks HTTP/1.1 in the worker's own goroutine: one write, one wait, one read. It follows no redirect, sends no
// request twice and reads nothing beyond its bounds.
type direct struct {
	dialer dialer
	own    map[string]dialer // by lane, of those that have a TLS of their own
	idle   *pool
	http2  sync.Map // the lanes that speak HTTP/2, which is net/http's
}

// speaks tells whether an endpoint is to be called this way. One over TLS is until it turns out to speak HTTP/2.
func (d *direct) speaks(u URL) bool {
	if u.Wire.Scheme == "http" {
		return true
	}
	_, other := d.http2.Load(u.Lane)
	return !other
}

// found hears what protocol a lane has settled on.
func (d *direct) found(lane, protocol string) {
	if protocol == "h2" {
		d.http2.Store(lane, struct{}{})
	} else {
		d.http2.Delete(lane)
	}
}

// scratch is what an attempt works in.
type scratch struct {
	out  []byte
	in   [firstRead]byte
	kept [keepLimit]byte

	reader reader
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// post makes one attempt and fills in what came of it. Its error says why no response came.
func (d *direct) post(ctx context.Context, r *Request, out *Response) error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	var err error
	if s.out, err = appendHead(s.out[:0], r); err != nil {
		return err
	}
	rest := r.Body
	if n := len(s.out) + len(r.Body); n <= firstWrite {
		s.out = append(s.out, r.Body...)
		rest = nil
	}
	a := attempt{ctx: ctx, deadline: out.Started.Add(r.Timeout), lane: r.URL.Lane, scratch: s, rest: rest}
	fresh := false
	for {
		c, err := d.ready(&a, out.Started, fresh)
		if err != nil {
			return a.end(err)
		}
		err = a.exchange(c, out)
		if a.reusable {
			d.idle.put(c, time.Now())
			return nil
		}
		c.shut()
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errStale):
			// The next idle one may be better; each is tried once.
		case errors.Is(err, errRefused):
			fresh = true
		default:
			return a.end(err)
		}
	}
}

// ready gives a connection for the attempt, an idle one where there is one and fresh does not ask for another.
func (d *direct) ready(a *attempt, now time.Time, fresh bool) (*conn, error) {
	for !fresh {
		c := d.idle.get(a.lane, now)
		if c == nil {
			break
		}
		c.reused = true
		if c.begin(a.ctx, a.deadline) && a.ctx.Err() == nil {
			return c, nil
		}
		c.shut()
	}
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	c, err := d.dial(a)
	if err != nil {
		return nil, err
	}
	if ready := c.begin(a.ctx, a.deadline); !ready || a.ctx.Err() != nil {
		c.shut()
		return nil, cmp.Or(a.ctx.Err(), net.ErrClosed)
	}
	return c, nil
}

// dial makes a connection, guarded, within the attempt's time.
func (d *direct) dial(a *attempt) (*conn, error) {
	ctx, cancel := context.WithDeadlineCause(a.ctx, a.deadline, errAttemptTimeout)
	defer cancel()
	scheme, addr, _ := strings.Cut(a.lane, "://")
	from := d.dialer
	if own, ok := d.own[a.lane]; ok {
		from = own
	}
	socket, err := from.connect(ctx, addr, from.guard.checked)
	if err != nil {
		return nil, err
	}
	if scheme != "https" {
		return newConn(a.lane, socket, socket), nil
	}
	late := newLateConn(socket)
	secure, err := from.handshake(ctx, late, addr, from.tls)
	if err != nil {
		return nil, err
	}
	protocol := secure.ConnectionState().NegotiatedProtocol
	d.found(a.lane, protocol)
	if protocol == "h2" {
		given := new(http2Conn)
		given.made(secure, late)
		given.conn.Store(secure)
		return nil, given
	}
	return newConn(a.lane, secure, socket), nil
}

// attempt is one POST on its way.
type attempt struct {
	ctx      context.Context //nolint:containedctx // it lives as long as the call
	deadline time.Time
	lane     string
	scratch  *scratch
	rest     []byte // of the body, what is not in scratch.out
	reusable bool   // the connection is ready for another request
}

// end names the end of the attempt where that is what brought an error about.
func (a *attempt) end(err error) error {
	if a.ctx.Err() == nil && timedOut(err) {
		return errAttemptTimeout
	}
	return err
}

// exchange sends the request and reads the response. It leaves the connection reusable where nothing of either is left.
func (a *attempt) exchange(c *conn, out *Response) error {
	a.reusable = false
	s := a.scratch
	if err := c.send(s.out, s.in[:], len(a.rest) > 0); err != nil {
		return err
	}
	s.reader = reader{src: c.Conn, buf: s.in[:], w: c.read}
	defer func() { s.reader = reader{} }()
	var later *writing
	if !c.sent || len(a.rest) > 0 {
		later = c.writeLater(s.out[c.written:], a.rest)
	}
	whole, err := s.reader.response(s.kept[:0], out)
	if later != nil {
		written, first := later.finish(c)
		whole = whole && written
		if err != nil && first != nil && c.reused && c.written == 0 {
			return first
		}
	}
	a.reusable = whole && err == nil
	return err
}

// response reads one response. whole means that the connection holds nothing more and stays open.
func (r *reader) response(kept []byte, out *Response) (whole bool, err error) {
	h, err := r.readHead()
	if err != nil {
		return false, err
	}
	out.Status = h.status
	if h.retryAfter != "" {
		out.RetryAfter = retryAfter(h.status, h.retryAfter, time.Now())
	}
	b := body{r: r, kept: kept}
	end := b.read(h)
	if b.n > 0 {
		out.Body = bytes.Clone(b.kept)
		out.Truncated = b.n > len(b.kept) || h.length > int64(len(b.kept))
	}
	if h.status < 200 || h.status > 299 {
		out.Err = &delivery.Error{Kind: delivery.KindStatus, Message: statusText(h.status)}
	}
	// What came behind the response was sent by nobody's leave: who would it answer?
	return end == nil && !h.close && h.status != 101 && r.r == r.w, nil
}

// writing is the rest of a request on its way out while its response may already come in.
type writing struct {
	done chan struct{}
	n    int64
	err  error
}

func (c *conn) writeLater(parts ...[]byte) *writing {
	w := &writing{done: make(chan struct{})}
	go func() {
		defer close(w.done)
		buffers := net.Buffers(parts)
		w.n, w.err = buffers.WriteTo(c.Conn)
	}()
	return w
}

// finish ends the writing, and tells whether all was written; and errRefused where nothing was, the other end being gone.
func (w *writing) finish(c *conn) (bool, error) {
	select {
	case <-w.done:
	default:
		// The response is there, or none will come: what the server has not read by now it will not miss.
		_ = c.SetWriteDeadline(longAgo)
		<-w.done
	}
	if w.err != nil && w.n == 0 && refused(w.err) {
		return false, errRefused
	}
	return w.err == nil, nil
}
