package endpoint

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"bellhop/dispatcher/delivery"
)

func TestMain(m *testing.M) {
	if os.Getenv(receiverEnv) != "" {
		receive()
		return
	}
	goleak.VerifyTestMain(m)
}

var loopback = prefixes("127.0.0.0/8", "::1/128")

func newClient(t testing.TB, o ClientOptions) *Client {
	t.Helper()
	if o.AllowNetworks == nil {
		o.AllowNetworks = loopback
	}
	c := NewClient(o)
	if os.Getenv(netHTTPEnv) != "" {
		c.direct = nil
	}
	t.Cleanup(c.Close)
	return c
}

func mustParse(t testing.TB, text string) URL {
	t.Helper()
	u, err := Parse(text, Normalize)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return u
}

// post sends a small form with a generous timeout unless told otherwise.
func post(t testing.TB, c *Client, text string, edit ...func(*Request)) Response {
	t.Helper()
	r := Request{
		URL:     mustParse(t, text),
		Headers: []Header{{"Content-Type", "application/x-www-form-urlencoded"}, {"User-Agent", "bellhop/test"}},
		Body:    []byte("a=1&b=2"),
		Timeout: 10 * time.Second,
	}
	for _, e := range edit {
		e(&r)
	}
	return c.Post(t.Context(), r)
}

func within(d time.Duration) func(*Request) { return func(r *Request) { r.Timeout = d } }

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func wantOK(t testing.TB, what string, r Response) {
	t.Helper()
	if r.Err != nil || r.Status != 200 {
		t.Errorf("%s = status %d, error %v; want a success", what, r.Status, r.Err)
	}
}

func wantErr(t testing.TB, what string, r Response, kind delivery.Kind, message string) {
	t.Helper()
	if r.Err == nil {
		t.Errorf("%s = status %d and no error, want %s", what, r.Status, kind)
		return
	}
	if r.Err.Kind != kind || !strings.Contains(r.Err.Message, message) {
		t.Errorf("%s = error %q, want kind %s with %q", what, r.Err, kind, message)
	}
}

func TestPostWritesExactlyThis(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{})
	res := post(t, c, "HTTP://"+rcv.addr+"/hooks//a b/../%7e%2fé?q=a b&r=%zz+?", func(r *Request) {
		r.Headers = []Header{
			{"Content-Type", "application/x-www-form-urlencoded"}, {"user-agent", "bellhop/1.2.3"}, {"X-API-key", "k1"},
			{"webhook-id", "msg_1"}, {"webhook-timestamp", "1700000000"}, {"X-Twice", "1"}, {"X-Twice", "2"}, {"Idempotency-Key", "i"},
		}
		r.Body = []byte("a=1+2&b=%C3%A9")
	})
	wantOK(t, "Post", res)
	if string(res.Body) != "ok" || res.Truncated {
		t.Errorf("Post keeps the body %q, truncated %v; want ok in whole", res.Body, res.Truncated)
	}
	if res.Started.IsZero() || res.Duration <= 0 {
		t.Errorf("Post started %v and took %v", res.Started, res.Duration)
	}
	want := "POST /hooks//a%20b/../~%2F%C3%A9?q=a%20b&r=%25zz+? HTTP/1.1\r\n" +
		"Host: " + rcv.addr + "\r\n" +
		"User-Agent: bellhop/1.2.3\r\n" +
		"Content-Length: 14\r\n" +
		"Content-Type: application/x-www-form-urlencoded\r\n" +
		"X-API-key: k1\r\n" +
		"X-Twice: 1\r\n" +
		"X-Twice: 2\r\n" +
		"idempotency-key: i\r\n" +
		"webhook-id: msg_1\r\n" +
		"webhook-timestamp: 1700000000\r\n" +
		"\r\na=1+2&b=%C3%A9"
	if got := rcv.requests(); len(got) != 1 || got[0] != want {
		t.Errorf("the receiver saw %q, want just %q", got, want)
	}
}

func TestPostRequestLines(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{Lookup: func(context.Context, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}})
	_, port, _ := net.SplitHostPort(rcv.addr)
	for in, want := range map[string]string{
		"":              "/",
		"?":             "/?",
		"?x":            "/?x",
		"//host/path":   "//host/path",
		"/*":            "/*",
		"/a:b@c;d,e":    "/a:b@c;d,e",
		"/%2F%2f?%2F":   "/%2F%2F?%2F",
		"/!$&'()*+,;=":  "/!$&'()*+,;=",
		"/a?http://b?c": "/a?http://b?c",
		"/%":            "/%25",
		"/%FF":          "/%FF",
		"/[x]":          "/%5Bx%5D",
		"/?[x]=%5bx%5D": "/?%5Bx%5D=%5Bx%5D",
	} {
		wantOK(t, "Post to "+in, post(t, c, "http://bücher.example:0"+port+in))
		seen := rcv.requests()
		head, _, _ := strings.Cut(seen[len(seen)-1], "User-Agent")
		if want := "POST " + want + " HTTP/1.1\r\nHost: xn--bcher-kva.example:0" + port + "\r\n"; head != want {
			t.Errorf("Post to %q sends %q, want %q", in, head, want)
		}
	}
}

func TestPostEmptyBody(t *testing.T) {
	rcv := newReceiver(t, say("HTTP/1.1 204 No Content\r\n\r\n"))
	res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr, func(r *Request) { r.Body, r.Headers = nil, nil })
	if res.Err != nil || res.Status != 204 || res.Body != nil || res.Truncated {
		t.Errorf("Post = %+v, want a 204 with nothing", res)
	}
	if got, want := rcv.requests(), "POST / HTTP/1.1\r\nHost: "+rcv.addr+"\r\nContent-Length: 0\r\n\r\n"; len(got) != 1 || got[0] != want {
		t.Errorf("the receiver saw %q, want %q", got, want)
	}
}

func TestPostStatuses(t *testing.T) {
	for _, tt := range []struct {
		status  int
		message string
	}{
		{200, ""}, {201, ""}, {202, ""}, {204, ""}, {299, ""},
		{101, "101 Switching Protocols"}, {300, "300 Multiple Choices"}, {304, "304 Not Modified"}, {400, "400 Bad Request"}, {410, "410 Gone"},
		{500, "500 Internal Server Error"}, {503, "503 Service Unavailable"}, {599, "599"}, {799, "799"},
	} {
		rcv := newReceiver(t, say(fmt.Sprintf("HTTP/1.1 %d Secret Words\r\nContent-Length: 0\r\n\r\n", tt.status)))
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
		what := fmt.Sprintf("Post answered with %d", tt.status)
		if res.Status != tt.status {
			t.Errorf("%s has the status %d", what, res.Status)
		}
		if tt.message != "" {
			wantErr(t, what, res, delivery.KindStatus, tt.message)
		} else if res.Err != nil {
			t.Errorf("%s = error %v, want a success", what, res.Err)
		}
	}
}

func TestPostDoesNotFollowRedirects(t *testing.T) {
	target := newReceiver(t, say(okAnswer))
	for _, status := range []int{301, 302, 303, 307, 308} {
		rcv := newReceiver(t, say(fmt.Sprintf("HTTP/1.1 %d Moved\r\nLocation: http://%s/\r\nContent-Length: 0\r\n\r\n", status, target.addr)))
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
		wantErr(t, fmt.Sprintf("Post answered with %d", status), res, delivery.KindStatus, http.StatusText(status))
		if n := len(rcv.requests()); n != 1 {
			t.Errorf("after a %d the receiver saw %d requests, want 1", status, n)
		}
	}
	if n := target.conns.Load(); n != 0 {
		t.Errorf("the target of the redirects was called %d times", n)
	}
}

func TestPostRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		status int
		value  string
		want   time.Duration
	}{
		{503, "120", 2 * time.Minute}, {429, " 7 ", 7 * time.Second}, {503, "0", 0}, {503, "-5", 0}, {503, "3600", time.Hour}, {503, "3601", time.Hour},
		{503, "99999999999999999999", time.Hour}, {503, "1.5", 0}, {503, "soon", 0}, {503, "", 0},
		{503, "Sun, 01 Mar 2026 12:00:30 GMT", 30 * time.Second}, {429, "Sunday, 01-Mar-26 12:01:00 GMT", time.Minute}, {429, "Sun Mar  1 12:02:00 2026", 2 * time.Minute},
		{503, "Sun, 01 Mar 2026 11:00:00 GMT", 0}, {503, "Sun, 01 Mar 2026 18:00:00 GMT", time.Hour},
		{500, "120", 0}, {200, "120", 0}, {302, "120", 0},
	} {
		if got := retryAfter(tt.status, tt.value, now); got != tt.want {
			t.Errorf("Retry-After: %q with %d = %v, want %v", tt.value, tt.status, got, tt.want)
		}
	}
	rcv := newReceiver(t, say("HTTP/1.1 429 Slow\r\nRetry-After: 42\r\nContent-Length: 0\r\n\r\n"))
	if res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr); res.RetryAfter != 42*time.Second {
		t.Errorf("Post says to retry after %v, want 42s", res.RetryAfter)
	}
}

func TestPostBodies(t *testing.T) {
	kib := strings.Repeat("x", 1024)
	for _, tt := range []struct {
		why, answer string
		kept        int
		truncated   bool
	}{
		{"none", "Content-Length: 0\r\n\r\n", 0, false},
		{"one of just 1 KiB", "Content-Length: 1024\r\n\r\n" + kib, 1024, false},
		{"one of a byte more", "Content-Length: 1025\r\n\r\n" + kib + "y", 1024, true},
		{"a chunked one", "Transfer-Encoding: chunked\r\n\r\n400\r\n" + kib + "\r\n0\r\n\r\n", 1024, false},
		{"one of 20 KiB", "Content-Length: 20480\r\n\r\n" + strings.Repeat(kib, 20), 1024, true},
		{"one ended by the connection's end", "Connection: close\r\n\r\nabc", 3, false},
		{"one cut short", "Content-Length: 100\r\nConnection: close\r\n\r\nabc", 3, true},
	} {
		rcv := newReceiver(t, func(x exchange) bool {
			_, _ = io.WriteString(x, "HTTP/1.1 200 OK\r\n"+tt.answer)
			return !strings.Contains(tt.answer, "close")
		})
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
		wantOK(t, "Post answered with a body, "+tt.why, res)
		if len(res.Body) != tt.kept || res.Truncated != tt.truncated {
			t.Errorf("of a body, %s, %d bytes are kept, truncated %v; want %d, %v", tt.why, len(res.Body), res.Truncated, tt.kept, tt.truncated)
		}
	}
}

func TestPostLeavesCompressedBodiesPacked(t *testing.T) {
	rcv := newReceiver(t, say("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"))
	res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
	wantOK(t, "Post answered with gzip", res)
	if string(res.Body) != "\x1f\x8b\x08\x00" {
		t.Errorf("a packed body is kept as %q, want its bytes as sent", res.Body)
	}
	if got := rcv.requests()[0]; strings.Contains(got, "Accept-Encoding") {
		t.Errorf("the request asks for compression: %q", got)
	}
}

func TestPostReusesConnections(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	c := newClient(t, ClientOptions{})
	for range 20 {
		wantOK(t, "Post", post(t, c, "http://"+rcv.addr))
	}
	if n := rcv.conns.Load(); n != 1 {
		t.Errorf("20 POSTs, one after the other, took %d connections, want 1", n)
	}
}

func TestPostDropsConnectionsOfLongBodies(t *testing.T) {
	rcv := newReceiver(t, say("HTTP/1.1 200 OK\r\nContent-Length: 20000\r\n\r\n"+strings.Repeat("x", 20000)))
	c := newClient(t, ClientOptions{})
	for range 3 {
		wantOK(t, "Post", post(t, c, "http://"+rcv.addr))
	}
	if n := rcv.conns.Load(); n != 3 {
		t.Errorf("3 POSTs with bodies left unread took %d connections, want 3", n)
	}
}

func TestPostIsNotSentAgain(t *testing.T) {
	// The second request on the connection is read and answered with the connection's end.
	var n atomic.Int64
	rcv := newReceiver(t, func(x exchange) bool {
		if n.Add(1) == 1 {
			_, _ = io.WriteString(x, okAnswer)
			return true
		}
		return false
	})
	c := newClient(t, ClientOptions{})
	key := func(r *Request) {
		r.Headers = append(r.Headers, Header{"Idempotency-Key", "1"}, Header{"X-Idempotency-Key", "1"})
	}
	wantOK(t, "the first Post", post(t, c, "http://"+rcv.addr, key))
	wantErr(t, "a Post answered with the connection's end", post(t, c, "http://"+rcv.addr, key), delivery.KindNetwork, "connection closed before a response")
	if n := len(rcv.requests()); n != 2 {
		t.Errorf("the receiver saw %d requests, want 2: the second must not be sent again", n)
	}
}

func TestRequestBodyCanBeRewound(t *testing.T) {
	req := newRequest(t.Context(), Request{URL: mustParse(t, "http://h/"), Body: []byte("a=1")})
	for range 2 { // a connection taken from the pool can turn out closed more than once
		first, _ := io.ReadAll(req.Body)
		again, err := req.GetBody()
		if err != nil || string(first) != "a=1" {
			t.Fatalf("the body reads %q, rewinding it gives the error %v", first, err)
		}
		req.Body = again
	}
}

func TestPostWithoutEndpoint(t *testing.T) {
	if res := newClient(t, ClientOptions{}).Post(t.Context(), Request{}); res.Err == nil {
		t.Error("Post without an endpoint succeeds")
	}
}

func BenchmarkPost(b *testing.B) {
	rcv := newReceiver(b, say(okAnswer))
	c := newClient(b, ClientOptions{})
	u := mustParse(b, "http://"+rcv.addr+"/hooks/course done")
	r := Request{
		URL: u, Body: []byte("a=1&b=2"), Timeout: 10 * time.Second,
		Headers: []Header{{"Content-Type", "application/x-www-form-urlencoded"}, {"User-Agent", "bellhop/test"}, {"webhook-id", "1"}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if res := c.Post(b.Context(), r); res.Err != nil {
			b.Fatal(res.Err)
		}
	}
}
