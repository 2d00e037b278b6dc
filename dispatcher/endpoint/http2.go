package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// http2Conn is what an attempt knows of the connection made for it. It may hold one whose handshake has settled on HTTP/2,
// which belongs to whoever takes it: then it is the error of an attempt that can go on with net/http. A nil one holds nothing.
type http2Conn struct {
	conn atomic.Pointer[tls.Conn]
	last atomic.Pointer[madeConn]
}

type madeConn struct {
	secure *tls.Conn
	late   *lateConn
}

func (c *http2Conn) Error() string { return "the endpoint speaks HTTP/2" }

func (c *http2Conn) take() *tls.Conn {
	if c == nil {
		return nil
	}
	return c.conn.Swap(nil)
}

// made notes the connection that is about to go to net/http.
func (c *http2Conn) made(secure *tls.Conn, late *lateConn) {
	late.quiet.Store(true)
	if c != nil {
		c.last.Store(&madeConn{secure, late})
	}
}

// drop closes the connection if nobody has taken it.
func (c *http2Conn) drop() {
	if conn := c.take(); conn != nil {
		_ = conn.Close()
	}
}

// reason gives what the server said in TLS as it broke the connection, in the place of what net/http made of it.
func (c *http2Conn) reason(ctx context.Context, err error) error {
	last := c.last.Load()
	// These are net/http's words for a connection that broke as it was being set up, and for one that it closed for what it
	// read while it was writing.
	if last == nil || !strings.Contains(err.Error(), "client conn could not be established") && !errors.Is(err, net.ErrClosed) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	select {
	case <-last.late.closed:
	case <-ctx.Done():
		return err
	}
	// A closed connection reads at once, and gives again what ended it.
	if _, said := last.secure.Read(make([]byte, 1)); alert(said) {
		return said
	}
	return err
}

// lateConn leaves it to the reader to say why a connection broke: a server that refuses the client's certificate says so
// after the handshake, and a write that meets the closed connection must not win over what it said. Where a write fails
// because the other end is gone, reading ends as well.
type lateConn struct {
	net.Conn
	quiet  atomic.Bool
	closed chan struct{}
	once   sync.Once
}

func newLateConn(c net.Conn) *lateConn { return &lateConn{Conn: c, closed: make(chan struct{})} }

func (c *lateConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil && c.quiet.Load() && refused(err) {
		return len(b), nil
	}
	return n, err
}

func (c *lateConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
