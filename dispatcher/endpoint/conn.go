package endpoint

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// atOnce is what the buffer of a socket takes without waiting for the other end.
const atOnce = 8 << 10

// longAgo is a deadline that ends what is waiting.
var longAgo = time.Unix(1, 0)

// conn is one HTTP/1.1 connection. One attempt uses it at a time, in its worker's own goroutine: what it waits for ends
// by the connection's deadline, or when the context that it watches ends.
type conn struct {
	net.Conn
	lane   string
	below  net.Conn        // the socket, where Conn is TLS over it
	raw    syscall.RawConn // of the socket below; nil where it is no TCP socket of this program
	direct bool            // Conn is that very socket, without TLS
	reused bool

	done <-chan struct{} // of the context that is watched
	stop func() bool     // ends the watch

	// What the exchange on the socket has to do, and what came of it.
	step          func(fd uintptr) bool
	out, in       []byte
	more          bool
	written, read int
	sent, stale   bool
	err           error

	// In the pool.
	idleSince    time.Time
	older, newer *conn
}

func newConn(lane string, c net.Conn, below net.Conn) *conn {
	x := &conn{Conn: c, lane: lane, below: below}
	if socket, ok := below.(*net.TCPConn); ok && rawSockets {
		if raw, err := socket.SyscallConn(); err == nil {
			x.raw, x.direct = raw, c == below
		}
	}
	x.step = x.exchange
	return x
}

// begin makes the connection ready for an attempt. It returns false where the connection cannot be used any more.
func (c *conn) begin(ctx context.Context, deadline time.Time) bool {
	if done := ctx.Done(); done != c.done {
		// A context seldom changes: the engine's attempts share theirs, so that its end is not watched anew for each.
		if c.stop != nil && !c.stop() {
			return false // the end of the other is at this moment taking the connection's deadline away
		}
		c.done, c.stop = done, nil
		if done != nil {
			c.stop = context.AfterFunc(ctx, func() { _ = c.SetDeadline(longAgo) })
		}
	}
	// After the watch: an end from here on takes back what this gives, and one before is found by whoever asks ctx now.
	return c.SetDeadline(deadline) == nil
}

// shut ends the connection at once: TLS would say goodbye first, and wait for room to say it.
func (c *conn) shut() {
	if c.stop != nil {
		c.stop()
	}
	_ = c.below.Close()
}

// retire closes a connection on which nothing is under way.
func (c *conn) retire() {
	if c.stop != nil {
		c.stop()
	}
	_ = c.Close()
}

var (
	errStale   = errors.New("the server closed the idle connection")
	errRefused = errors.New("the server took in nothing of the request")
)

// send writes what it can of a request's first part at once, and where that was all of it reads the first bytes of what
// comes back into in, as far as one wait does both; not where more is to be written first. c.sent tells whether out is written in whole, c.read how much of in is
// filled. errStale means that the connection had ended before it was used, errRefused that it did as it was used: in
// both cases not a byte of the request was taken in by the server's side.
func (c *conn) send(out, in []byte, more bool) error {
	c.out, c.in, c.more = out, in, more
	c.written, c.read, c.sent, c.stale, c.err = 0, 0, false, false, nil
	defer func() { c.out, c.in = nil, nil }()
	err := c.sendOnce()
	switch {
	case c.stale:
		return errStale
	case err != nil && c.written == 0 && c.reused && refused(err):
		// Over TLS too: of a record that did not go out in whole the server can read nothing.
		return errRefused
	}
	return err
}

func (c *conn) sendOnce() error {
	if c.direct {
		if err := c.raw.Read(c.step); err != nil {
			return err
		}
		return c.err
	}
	if c.reused && c.raw != nil {
		if err := c.raw.Read(c.look); err != nil || c.stale {
			return err
		}
	}
	if len(c.out) > atOnce {
		return nil // for somebody who can wait while another reads
	}
	c.written, c.err = c.Write(c.out)
	c.sent = c.err == nil
	if c.err != nil && !c.reused {
		// A server that refuses the client's certificate says so after the handshake, and may be gone by now.
		n, err := c.Read(c.in)
		switch {
		case n > 0:
			c.read, c.sent, c.err = n, true, nil
		case alert(err):
			c.err = err
		}
	}
	return c.err
}

// alert tells whether an error is what the other end said in TLS before it closed the connection.
func alert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}

// look tells nothing but whether the connection lives.
func (c *conn) look(fd uintptr) bool {
	c.stale = pending(fd)
	return true
}

// exchange is one turn of a request on the socket: look whether the connection lives, write, wait, read. The runtime calls
// it again when the socket has something to read. All of it happens under one wait, so that a request that goes well
// takes three system calls, and none of them in vain.
func (c *conn) exchange(fd uintptr) bool {
	if !c.sent {
		if c.reused && pending(fd) {
			c.stale = true
			return true
		}
		c.written, c.err = writeSocket(fd, c.out)
		if c.written < len(c.out) {
			return true
		}
		c.sent = true
		return c.more
	}
	var again bool
	c.read, again, c.err = readSocket(fd, c.in)
	return !again
}

// refused tells whether a write failed because the other end is gone.
func refused(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}

// timedOut tells whether an error is a connection's deadline.
func timedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
