package endpoint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
)

// netHTTPEnv has the tests of this package POST through net/http alone.
const netHTTPEnv = "BELLHOP_TEST_NET_HTTP"

// TestPostOverNetHTTP runs the tests of Post again without the direct way, since a proxy or HTTP/2 has endpoints called so.
func TestPostOverNetHTTP(t *testing.T) {
	if os.Getenv(netHTTPEnv) != "" {
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPost", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), netHTTPEnv+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("over net/http: %v\n%s", err, out)
	}
	if n := bytes.Count(out, []byte("--- PASS: TestPost")); n < 30 {
		t.Errorf("over net/http just %d tests ran", n)
	}
}

// onlyDirect ends a test of what only the direct way promises.
func onlyDirect(t *testing.T) {
	t.Helper()
	if os.Getenv(netHTTPEnv) != "" {
		t.SkipNow()
	}
}

func TestPostWritesWhatNetHTTPWrites(t *testing.T) {
	onlyDirect(t)
	rcv := newReceiver(t, say(okAnswer))
	direct, plain := newClient(t, ClientOptions{}), newClient(t, ClientOptions{})
	plain.direct = nil
	names := []string{
		"Content-Type", "content-type", "User-Agent", "user-agent", "X-A", "x-a", "X-B", "Idempotency-Key", "X-Idempotency-Key",
		"idempotency-key", "Accept", "authorization", "webhook-id", "webhook-timestamp", "webhook-attempt", "webhook-signature",
		"a!#$%&'*+-.^_`|~z", "Accept-Encoding", "Cookie", "Referer", "Z", "Expires", "Date", "Origin", "Range",
	}
	values := []string{"", "x", " padded\t", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=", "café", "\"q\"", "a\tb", "chunked", "100-continue"}
	targets := []string{"", "?", "/", "/a b?c", "//x/../y", "/%2f%7e?%zz", "/?a=1&b=[2]"}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		r := Request{URL: mustParse(t, "http://"+rcv.addr+targets[rnd.IntN(len(targets))]), Timeout: 10 * time.Second}
		agents := 0
		for range rnd.IntN(12) {
			h := Header{names[rnd.IntN(len(names))], values[rnd.IntN(len(values))]}
			if strings.EqualFold(h.Name, "User-Agent") {
				if agents++; agents > 1 {
					continue
				}
			}
			r.Headers = append(r.Headers, h)
		}
		if n := rnd.IntN(4); n > 0 {
			r.Body = bytes.Repeat([]byte("a=1&"), n*n*n*100)
		}
		for _, c := range []*Client{plain, direct} {
			if res := c.Post(t.Context(), r); res.Err != nil {
				t.Fatalf("Post with the headers %q: %v", r.Headers, res.Err)
			}
		}
		seen := rcv.requests()
		if a, b := seen[len(seen)-2], seen[len(seen)-1]; a != b {
			t.Fatalf("net/http writes\n%q\nand the direct way\n%q", a, b)
		}
	}
	if n := rcv.conns.Load(); n != 2 {
		t.Errorf("600 POSTs took %d connections, want 2", n)
	}
}

func TestPostRefusesHeaders(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{})
	for _, h := range []Header{
		{"", "x"}, {"A B", "x"}, {"A:", "x"}, {"A\r\nB", "x"}, {"é", "x"},
		{"A", "x\r\nB: y"}, {"A", "x\ny"}, {"A", "x\x00"}, {"A", "\x7f"}, {"User-Agent", "x\r\n\r\nPOST / HTTP/1.1"},
	} {
		res := post(t, c, "http://"+rcv.addr, func(r *Request) { r.Headers = []Header{h} })
		wantErr(t, fmt.Sprintf("Post with the header %q", h), res, delivery.KindNetwork, "header")
	}
	if n := len(rcv.requests()); n != 0 {
		t.Errorf("the receiver saw %d requests, want none", n)
	}
}

func TestPostWritesItsOwnFraming(t *testing.T) {
	onlyDirect(t)
	rcv := newReceiver(t, say(okAnswer))
	res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr, func(r *Request) {
		r.Headers = []Header{{"content-length", "0"}, {"TRANSFER-ENCODING", "chunked"}, {"host", "other"}, {"trailer", "x"}}
	})
	wantOK(t, "Post with headers of the connection's", res)
	if got, want := rcv.requests()[0], "POST / HTTP/1.1\r\nHost: "+rcv.addr+"\r\nContent-Length: 7\r\n\r\na=1&b=2"; got != want {
		t.Errorf("the receiver saw %q, want %q", got, want)
	}
}

func TestPostLargeBodies(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{})
	for _, size := range []int{1, 8 << 10, firstWrite - 200, firstWrite, firstWrite + 1, 300 << 10, 2 << 20} {
		body := bytes.Repeat([]byte("x"), size)
		body[size-1] = 'y'
		for range 2 {
			res := post(t, c, "http://"+rcv.addr, func(r *Request) { r.Body = body; r.Timeout = time.Minute })
			wantOK(t, fmt.Sprintf("Post of %d bytes", size), res)
			seen := rcv.requests()
			if _, got, _ := strings.Cut(seen[len(seen)-1], "\r\n\r\n"); got != string(body) {
				t.Errorf("of %d bytes %d arrived, or others", size, len(got))
			}
		}
	}
	if n := rcv.conns.Load(); n != 1 {
		t.Errorf("POSTs of bodies of all sizes took %d connections, want 1", n)
	}
}

// refusing answers without reading the body, and closes.
func refusing(t *testing.T, answer string, linger bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 512))
				_, _ = io.WriteString(conn, answer)
				if linger {
					<-stop
				}
			})
		}
	})
	t.Cleanup(func() { close(stop); _ = l.Close(); wg.Wait() })
	return l.Addr().String()
}

func TestPostAnsweredBeforeItIsWritten(t *testing.T) {
	addr := refusing(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nlong", true)
	c := newClient(t, ClientOptions{})
	for range 3 {
		res := post(t, c, "http://"+addr, func(r *Request) { r.Body = make([]byte, 20<<20); r.Timeout = 20 * time.Second })
		wantErr(t, "Post answered before it is written", res, delivery.KindStatus, "413 Request Entity Too Large")
		if res.Duration > 15*time.Second {
			t.Errorf("Post answered before it is written took %v", res.Duration)
		}
	}
}

func TestPostAnsweredAndReset(t *testing.T) {
	onlyDirect(t) // net/http may take the reset for the answer
	addr := refusing(t, "HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nlong", false)
	res := post(t, newClient(t, ClientOptions{}), "http://"+addr, func(r *Request) { r.Body = make([]byte, 20<<20); r.Timeout = 20 * time.Second })
	wantErr(t, "Post answered and reset before it is written", res, delivery.KindStatus, "413 Request Entity Too Large")
}

func TestPostNeverRead(t *testing.T) {
	addr := refusing(t, "", true)
	res := post(t, newClient(t, ClientOptions{}), "http://"+addr, within(short), func(r *Request) { r.Body = make([]byte, 20<<20) })
	wantErr(t, "Post that is never read", res, delivery.KindTimeout, "no response within 200ms")
	wantAtDeadline(t, "Post that is never read", res)
}

// A connection that the server closes while it is idle must not cost an attempt.
func TestPostOverClosedIdleConnections(t *testing.T) {
	onlyDirect(t) // net/http learns of the end from another goroutine, at times too late
	for what, end := range map[string]func(*net.TCPConn){
		"closed":             func(c *net.TCPConn) { _ = c.Close() },
		"reset":              func(c *net.TCPConn) { _ = c.SetLinger(0); _ = c.Close() },
		"half closed":        func(c *net.TCPConn) { _ = c.CloseWrite() },
		"closed with a word": func(c *net.TCPConn) { _, _ = io.WriteString(c, "HTTP/1.1 408 Timeout\r\n\r\n"); _ = c.Close() },
	} {
		ended := make(chan struct{}, 10)
		var calls atomic.Int64
		rcv := newReceiver(t, func(x exchange) bool {
			_, _ = io.WriteString(x, okAnswer)
			if calls.Add(1)%2 == 1 {
				return true // answer once more on this connection
			}
			end(x.Conn.(*net.TCPConn))
			ended <- struct{}{}
			<-x.gone
			return false
		})
		c := newClient(t, ClientOptions{})
		for i := range 6 {
			wantOK(t, fmt.Sprintf("Post %d to a server that has %s the connection", i, what), post(t, c, "http://"+rcv.addr))
			if i%2 == 1 {
				<-ended
			}
		}
		if n := len(rcv.requests()); n != 6 {
			t.Errorf("the receiver saw %d requests, want 6", n)
		}
		if n := rcv.conns.Load(); n != 3 {
			t.Errorf("the receiver saw %d connections, want 3", n)
		}
	}
}

// The connection ends between the look at it and the write: nothing of the request is taken in, and it goes out once more.
func TestPostOverRefusingConnection(t *testing.T) {
	onlyDirect(t)
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{})
	for _, size := range []int{7, 300 << 10} {
		wantOK(t, "the first Post", post(t, c, "http://"+rcv.addr))
		conns := rcv.conns.Load()
		lane := mustParse(t, "http://"+rcv.addr).Lane
		idle := c.direct.idle.get(lane, time.Now())
		if err := idle.Conn.(*net.TCPConn).CloseWrite(); err != nil { // every write fails from now on
			t.Fatal(err)
		}
		c.direct.idle.put(idle, time.Now())
		res := post(t, c, "http://"+rcv.addr, func(r *Request) { r.Body = make([]byte, size) })
		// The server sees the end of its half and may close before the request is tried; either way nothing was taken in.
		wantOK(t, "Post over a connection that refuses it", res)
		if n := rcv.conns.Load(); n != conns+1 {
			t.Errorf("it took %d connections, want one more", n-conns)
		}
	}
	if n := len(rcv.requests()); n != 4 {
		t.Errorf("the receiver saw %d requests, want 4", n)
	}
}

func TestPostOverRefusingFreshConnection(t *testing.T) {
	onlyDirect(t)
	var dials atomic.Int64
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		dials.Add(1)
		conn, err := new(net.Dialer).DialContext(ctx, network, rcv.addr)
		if err == nil {
			err = conn.(*net.TCPConn).CloseWrite()
		}
		return conn, err
	}})
	wantErr(t, "Post over a fresh connection that refuses it", post(t, c, "http://"+rcv.addr), delivery.KindNetwork, syscall.EPIPE.Error())
	if n := dials.Load(); n != 1 {
		t.Errorf("it took %d connections, want 1", n)
	}
}

func TestPostReusesOnlyWhatIsWhole(t *testing.T) {
	onlyDirect(t) // net/http sees what came behind a response in another goroutine, at times too late
	for answer, reused := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                           true,
		"HTTP/1.1 200 OK\nContent-Length: 2\n\nok":                                                                 true,
		"HTTP/1.1 204 No Content\r\n\r\n":                                                                          true,
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\n\r\n":                                                  true,
		"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno":                                                         true,
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":                                true,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":                                true,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=\"y\"\r\nok\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n":      true,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n2\r\nok\r\n0\r\n\r\n":           true,
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok":                                 true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok":                                      true,
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                           false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: Close\r\n\r\nok":                                      false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, close\r\n\r\nok":                                   false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok ":                                                          false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n":               false,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n":                            false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok0\r\n\r\n":                                    false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n":                                               false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n":                                  false,
		"HTTP/1.1 204 No Content\r\n\r\nbody where there is none":                                                  false,
		"HTTP/1.1 200 OK\r\nContent-Length: 16384\r\n\r\n" + strings.Repeat("x", 16384):                            true,
		"HTTP/1.1 200 OK\r\nContent-Length: 16385\r\n\r\n" + strings.Repeat("x", 16385):                            false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 3000) + "0\r\n\r\n": true,
	} {
		// The receiver itself never closes, so that who does is seen.
		rcv := newReceiver(t, say(answer))
		c := newClient(t, ClientOptions{})
		for range 2 {
			res := post(t, c, "http://"+rcv.addr)
			if res.Status == 0 {
				t.Errorf("Post answered with %.60q has no status: %v", answer, res.Err)
			}
		}
		if n := rcv.conns.Load(); (n == 1) != reused {
			t.Errorf("two POSTs answered with %.90q took %d connections, want it reused: %v", answer, n, reused)
		}
	}
}

func TestPostMalformedResponses(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n", "HTTP/1.x 200 OK\r\n\r\n", "http/1.1 200 OK\r\n\r\n",
		"HTTP/11.1 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 200 OK\r\n: b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n", "HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n c\x01d\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 02\r\n\r\nok",
		"HTTP/1.1 204 No\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n ,x\r\n\r\n0\r\n\r\n", "\r\nHTTP/1.1 200 OK\r\n\r\n",
	} {
		rcv := newReceiver(t, func(x exchange) bool { _, _ = io.WriteString(x, answer); return false })
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
		wantErr(t, fmt.Sprintf("Post answered with %q", answer), res, delivery.KindNetwork, "")
		if res.Status != 0 || res.Body != nil {
			t.Errorf("Post answered with %q has the status %d and the body %q, want neither", answer, res.Status, res.Body)
		}
	}
}

func TestPostAnsweredByteByByte(t *testing.T) {
	drip := func(every time.Duration, answer string) func(exchange) bool {
		return func(x exchange) bool {
			tick := time.NewTicker(every)
			defer tick.Stop()
			for i := range len(answer) {
				if _, err := io.WriteString(x, answer[i:i+1]); err != nil {
					return false
				}
				select {
				case <-tick.C:
				case <-x.gone:
					return false
				}
			}
			return true
		}
	}
	rcv := newReceiver(t, drip(time.Millisecond, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: x\r\n\r\n"))
	c := newClient(t, ClientOptions{})
	for range 2 {
		res := post(t, c, "http://"+rcv.addr)
		wantOK(t, "Post answered byte by byte", res)
		if string(res.Body) != "ok" {
			t.Errorf("Post answered byte by byte keeps %q, want ok", res.Body)
		}
	}
	if n := rcv.conns.Load(); n != 1 {
		t.Errorf("two POSTs answered byte by byte took %d connections, want 1", n)
	}
	slow := newReceiver(t, drip(short/8, "HTTP/1.1 200 OK\r\nA: "+strings.Repeat("x", 1000)))
	res := post(t, newClient(t, ClientOptions{}), "http://"+slow.addr, within(short))
	wantErr(t, "Post answered slowly", res, delivery.KindTimeout, "no response within 200ms")
	wantAtDeadline(t, "Post answered slowly", res)
}

func TestPostCancelledAnywhere(t *testing.T) {
	for what, answer := range map[string]string{"before a response": "", "in its headers": "HTTP/1.1 200 OK\r\nA: b\r\n"} {
		asked := make(chan struct{}, 1)
		rcv := newReceiver(t, func(x exchange) bool {
			_, _ = io.WriteString(x, answer)
			asked <- struct{}{}
			<-x.gone
			return false
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-asked; cancel() }()
		res := newClient(t, ClientOptions{}).Post(ctx, Request{URL: mustParse(t, "http://"+rcv.addr), Timeout: time.Minute})
		wantErr(t, "Post cancelled "+what, res, delivery.KindCancelled, "the attempt was cancelled")
	}
	stuck := newClient(t, ClientOptions{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }})
	ctx, cancel := context.WithTimeout(t.Context(), short/4)
	defer cancel()
	res := stuck.Post(ctx, Request{URL: mustParse(t, "http://127.0.0.1"), Timeout: time.Minute})
	wantErr(t, "Post cancelled as it connects", res, delivery.KindCancelled, "the attempt was cancelled")
}

// A connection goes from one context to another, and is not ended by the first.
func TestPostUnderManyContexts(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{})
	r := Request{URL: mustParse(t, "http://"+rcv.addr), Timeout: 10 * time.Second}
	for range 50 {
		ctx, cancel := context.WithCancel(t.Context())
		wantOK(t, "Post under a context of its own", c.Post(ctx, r))
		cancel()
		wantOK(t, "Post under no context", c.Post(context.Background(), r))
	}
	res := c.Post(t.Context(), r)
	wantOK(t, "Post under the test's context", res)
}

// Many workers on many lanes, with connections that end at random: every POST is answered once.
func TestPostAllAtOnce(t *testing.T) {
	var receivers []*receiver
	for range 4 {
		receivers = append(receivers, newReceiver(t, func(x exchange) bool {
			_, id, _ := strings.Cut(x.request, "\r\n\r\n")
			_, _ = fmt.Fprintf(x, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(id), id)
			return rand.IntN(20) > 0
		}))
	}
	c := newClient(t, ClientOptions{Workers: 8, PerEndpoint: 4})
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("%d.%d", w, i)
				res := post(t, c, "http://"+receivers[rand.IntN(len(receivers))].addr, func(r *Request) { r.Body = []byte(id) })
				switch {
				case res.Err != nil:
					// The end came on the heels of the request: nobody can tell whether it was read.
					if res.Err.Kind != delivery.KindNetwork {
						t.Errorf("Post = %v", res.Err)
					}
				case string(res.Body) != id:
					t.Errorf("the answer to %s went to %s", res.Body, id)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for _, rcv := range receivers {
		for _, req := range rcv.requests() {
			_, id, _ := strings.Cut(req, "\r\n\r\n")
			if seen[id] {
				t.Errorf("%s was sent twice", id)
			}
			seen[id] = true
		}
	}
}

func TestPostReadsWithinBounds(t *testing.T) {
	for what, answer := range map[string]string{
		"an endless body":         "HTTP/1.1 200 OK\r\n\r\n",
		"an endless long body":    "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n",
		"endless headers":         "HTTP/1.1 200 OK\r\nA: b\r\n",
		"an endless status line":  "HTTP/1.1 200 ",
		"an endless chunk":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
		"endless chunk extension": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
		"endless trailers":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: ",
		"endless interim answers": "HTTP/1.1 103 Early Hints\r\n\r\n",
	} {
		sent := make(chan int, 1)
		rcv := newReceiver(t, func(x exchange) bool {
			more := strings.Repeat("x", 4096)
			switch what {
			case "endless headers":
				more = strings.Repeat("X: y\r\n", 600)
			case "endless interim answers":
				more = strings.Repeat(answer, 100)
			}
			n, err := io.WriteString(x, answer)
			for total := n; ; total += n {
				if err != nil {
					sent <- total
					return false
				}
				n, err = io.WriteString(x, more)
			}
		})
		var read atomic.Int64
		c := newClient(t, ClientOptions{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return countingConn{conn, &read}, err
		}})
		res := post(t, c, "http://"+rcv.addr)
		if strings.Contains(what, "header") || strings.Contains(what, "line") || strings.Contains(what, "interim") {
			wantErr(t, "Post answered with "+what, res, delivery.KindNetwork, "the response's headers exceed 64 KiB")
		} else {
			wantOK(t, "Post answered with "+what, res)
		}
		<-sent // the connection is closed, or this would never end
		if n := read.Load(); n > maxHeaderBytes+wireLimit {
			t.Errorf("of %s %d bytes were read", what, n)
		}
	}
}

type countingConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// A Dial that gives no TCP socket is served without one.
func TestPostOverPipe(t *testing.T) {
	var wg sync.WaitGroup
	defer wg.Wait()
	c := newClient(t, ClientOptions{Dial: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		wg.Go(func() { answerAll(there) })
		return here, nil
	}})
	defer c.Close()
	for range 3 {
		wantOK(t, "Post over a pipe", post(t, c, "http://127.0.0.1"))
	}
	wantOK(t, "Post of a large body over a pipe", post(t, c, "http://127.0.0.1", func(r *Request) { r.Body = make([]byte, 1<<20) }))
}
