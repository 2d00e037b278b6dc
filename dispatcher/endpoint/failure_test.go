package endpoint

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
	"bellhop/internal/testkit"
)

const short = 200 * time.Millisecond

// wantAtDeadline checks that an attempt took its time, and not its time again.
func wantAtDeadline(t *testing.T, what string, res Response) {
	t.Helper()
	if res.Duration < short || res.Duration > short+5*time.Second {
		t.Errorf("%s took %v, want about %v", what, res.Duration, short)
	}
}

func TestPostTimeouts(t *testing.T) {
	for _, tt := range []struct {
		why    string
		answer func(exchange) bool
	}{
		{"nothing", hang("")},
		{"half a status line", hang("HTTP/1.1 2")},
		{"half the headers", hang("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n")},
		{"a 100 and nothing", hang("HTTP/1.1 100 Continue\r\n\r\n")},
		{"a 103 and nothing", hang("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")},
		{"a 102 over and over", func(x exchange) bool {
			tick := time.NewTicker(short / 4)
			defer tick.Stop()
			for {
				if _, err := io.WriteString(x, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return false
				}
				select {
				case <-tick.C:
				case <-x.gone:
					return false
				}
			}
		}},
	} {
		rcv := newReceiver(t, tt.answer)
		what := "Post answered with " + tt.why
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr, within(short))
		wantErr(t, what, res, delivery.KindTimeout, "no response within 200ms")
		wantAtDeadline(t, what, res)
		if res.Status != 0 {
			t.Errorf("%s has the status %d, want none", what, res.Status)
		}
	}
}

func TestPostTimeoutsWhileConnecting(t *testing.T) {
	stuck := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for what, o := range map[string]ClientOptions{
		"Post to a host that never resolves": {Lookup: func(ctx context.Context, _ string) ([]netip.Addr, error) { return nil, stuck(ctx) }},
		"Post to a host that never answers":  {Lookup: resolvesTo("127.0.0.1"), Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, stuck(ctx) }},
		"Post to two that never answer":      {Lookup: resolvesTo("127.0.0.1", "::1"), Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return nil, stuck(ctx) }},
	} {
		res := post(t, newClient(t, o), "http://stuck.example/", within(short))
		wantErr(t, what, res, delivery.KindTimeout, "no response within 200ms")
		wantAtDeadline(t, what, res)
	}
	rcv := newReceiver(t, hang("")) // reads no TLS: the handshake hangs
	res := post(t, newClient(t, ClientOptions{}), "https://"+rcv.addr, within(short))
	wantErr(t, "Post to a port where the handshake hangs", res, delivery.KindTimeout, "no response within 200ms")
	wantAtDeadline(t, "Post to a port where the handshake hangs", res)
}

func TestPostTimeoutInTheBody(t *testing.T) {
	for _, tt := range []struct {
		status int
		answer string
		kept   string
	}{
		{200, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow", "slow"},
		{200, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n", "slow"},
		{500, "HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nslow", "slow"},
		{200, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", ""},
	} {
		rcv := newReceiver(t, hang(tt.answer))
		what := fmt.Sprintf("Post answered with %q", tt.answer)
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr, within(short))
		if tt.status == 200 {
			wantOK(t, what, res)
		} else {
			wantErr(t, what, res, delivery.KindStatus, "500 Internal Server Error")
		}
		if string(res.Body) != tt.kept {
			t.Errorf("%s keeps the body %q, want %q", what, res.Body, tt.kept)
		}
		wantAtDeadline(t, what, res)
	}
}

func TestPostEndlessBody(t *testing.T) {
	rcv := newReceiver(t, func(x exchange) bool {
		_, err := io.WriteString(x, "HTTP/1.1 200 OK\r\n\r\n")
		for err == nil {
			_, err = io.WriteString(x, strings.Repeat("x", 4096))
		}
		return false
	})
	res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
	wantOK(t, "Post answered with an endless body", res)
	if len(res.Body) != 1024 || !res.Truncated {
		t.Errorf("of an endless body %d bytes are kept, truncated %v; want 1024, true", len(res.Body), res.Truncated)
	}
}

func TestPostEndlessHeaders(t *testing.T) {
	for _, head := range []string{"HTTP/1.1 200 OK\r\n", "HTTP/1.1 103 Early Hints\r\n"} {
		rcv := newReceiver(t, func(x exchange) bool {
			_, err := io.WriteString(x, head)
			for i := 0; err == nil; i++ {
				_, err = fmt.Fprintf(x, "X-%d: %s\r\n", i, strings.Repeat("x", 1000))
			}
			return false
		})
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr)
		wantErr(t, "Post answered with endless headers", res, delivery.KindNetwork, "the response's headers exceed 64 KiB")
	}
}

func TestPostEarlyHintsThenAnswer(t *testing.T) {
	for _, early := range []string{"100 Continue", "103 Early Hints"} {
		rcv := newReceiver(t, say("HTTP/1.1 "+early+"\r\n\r\n"+okAnswer))
		wantOK(t, "Post answered with a "+early+" and a 200", post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr))
	}
}

func TestPostNetworkErrors(t *testing.T) {
	for _, tt := range []struct {
		why     string
		answer  func(exchange) bool
		message string
	}{
		{"the connection's end", func(exchange) bool { return false }, "connection closed before a response"},
		{"half an answer and the end", func(x exchange) bool { _, _ = io.WriteString(x, "HTTP/1.1 200 OK\r\nA: b\r\n"); return false }, "connection closed before a response"},
		{"a reset", func(x exchange) bool { _ = x.Conn.(*net.TCPConn).SetLinger(0); return false }, "connection reset by peer"},
		{"nonsense", func(x exchange) bool { _, _ = io.WriteString(x, "SSH-2.0-hunter2\r\n\r\n"); return false }, "malformed HTTP response"},
		{"a malformed header", say("HTTP/1.1 200 OK\r\nhunter2\r\n\r\n"), "malformed HTTP response"},
		{"a status of zero", say("HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n"), "malformed HTTP response"},
		{"two lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), ""},
	} {
		rcv := newReceiver(t, tt.answer)
		res := post(t, newClient(t, ClientOptions{}), "http://"+rcv.addr+"/hunter2")
		wantErr(t, "Post answered with "+tt.why, res, delivery.KindNetwork, tt.message)
		if strings.Contains(res.Err.Message, "hunter2") {
			t.Errorf("Post answered with %s = %q, which shows what was sent or received", tt.why, res.Err.Message)
		}
	}
}

func TestPostConnectErrors(t *testing.T) {
	addr := testkit.FreeAddress(t)
	res := post(t, newClient(t, ClientOptions{}), "http://"+addr+"/path?query")
	wantErr(t, "Post to a closed port", res, delivery.KindNetwork, "connect to "+addr+": connection refused")

	for _, tt := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", Name: "crm.example.com", Server: "10.9.8.7:53", IsNotFound: true}, "lookup crm.example.com: no such host"},
		{&net.DNSError{Err: "server misbehaving", Name: "crm.example.com", Server: "10.9.8.7:53", IsTemporary: true}, "lookup crm.example.com: server misbehaving"},
		{&net.DNSError{Err: "i/o timeout", Name: "crm.example.com", IsTimeout: true}, "lookup crm.example.com: the name server did not answer"},
		{nil, "lookup crm.example.com: no such host"},
	} {
		c := newClient(t, ClientOptions{Lookup: func(context.Context, string) ([]netip.Addr, error) { return nil, tt.err }})
		res := post(t, c, "http://crm.example.com/")
		wantErr(t, fmt.Sprintf("Post where the lookup fails with %v", tt.err), res, delivery.KindNetwork, tt.want)
	}
}

func TestPostCancelled(t *testing.T) {
	asked := make(chan struct{})
	rcv := newReceiver(t, func(x exchange) bool { close(asked); <-x.gone; return false })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	res := newClient(t, ClientOptions{}).Post(ctx, Request{URL: mustParse(t, "http://"+rcv.addr), Timeout: time.Minute})
	wantErr(t, "Post that is cancelled", res, delivery.KindCancelled, "the attempt was cancelled")

	res = newClient(t, ClientOptions{}).Post(ctx, Request{URL: mustParse(t, "http://"+rcv.addr)})
	wantErr(t, "Post under a context that has ended", res, delivery.KindCancelled, "")
	if n := rcv.conns.Load(); n != 1 {
		t.Errorf("the receiver saw %d connections, want 1", n)
	}
}

func resolvesTo(addrs ...string) func(context.Context, string) ([]netip.Addr, error) {
	list := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		list[i] = netip.MustParseAddr(a)
	}
	return func(context.Context, string) ([]netip.Addr, error) { return list, nil }
}

// noDial fails the test where anything is dialled.
func noDial(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, addr string) (net.Conn, error) {
		t.Errorf("%s was dialled", addr)
		return nil, errors.New("not in this test")
	}
}

func TestPostBlocksForbiddenAddresses(t *testing.T) {
	none := []netip.Prefix{}
	c := newClient(t, ClientOptions{AllowNetworks: none, Dial: noDial(t), Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
		t.Errorf("%s was looked up, which is an address", host)
		return nil, errors.New("not in this test")
	}})
	for _, host := range loopbackSpellings {
		for _, scheme := range []string{"http", "https"} {
			res := post(t, c, scheme+"://"+host+":8080/")
			wantErr(t, "Post to "+scheme+"://"+host, res, delivery.KindBlocked, "is not allowed (loopback): see delivery.allow_networks")
		}
	}
	res := post(t, c, "http://169.254.169.254/latest/meta-data/")
	wantErr(t, "Post to the metadata", res, delivery.KindBlocked, "address 169.254.169.254 is not allowed (cloud metadata): only an entry of its own")
}

func TestPostBlocksNames(t *testing.T) {
	for _, tt := range []struct {
		why   string
		addrs []string
		want  string
	}{
		{"a private address", []string{"10.0.0.1"}, "address 10.0.0.1 is not allowed (private): see delivery.allow_networks"},
		{"a public and a private address", []string{"93.184.216.34", "192.168.0.9"}, "address 192.168.0.9 is not allowed (private)"},
		{"a public address and the metadata", []string{"2606:4700::1", "::ffff:169.254.169.254"}, "address 169.254.169.254 is not allowed (cloud metadata)"},
		{"an address with a zone", []string{"fe80::1%eth0"}, "is not allowed (link-local)"},
		{"a mapped address", []string{"::ffff:10.0.0.1"}, "address 10.0.0.1 is not allowed (private)"},
		{"a NAT64 address", []string{"64:ff9b::10.0.0.1"}, "address 64:ff9b::a00:1 is not allowed (private)"},
	} {
		c := newClient(t, ClientOptions{Lookup: resolvesTo(tt.addrs...), Dial: noDial(t)})
		wantErr(t, "Post to a name for "+tt.why, post(t, c, "https://crm.example.com/"), delivery.KindBlocked, tt.want)
	}
}

func TestPostAllowsSpellings(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	_, port, _ := net.SplitHostPort(rcv.addr)
	c := newClient(t, ClientOptions{})
	for _, host := range []string{"127.0.0.1", "127.0.0.1.", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"} {
		wantOK(t, "Post to "+host+" where it is allowed", post(t, c, "http://"+host+":"+port))
	}
}

func TestControlChecksAgain(t *testing.T) {
	g := newGuard(ClientOptions{})
	for _, addr := range []string{"127.0.0.1:80", "[::1]:80", "[::ffff:10.0.0.1]:80", "[fe80::1%lo]:80"} {
		if _, err := g.open(t.Context(), "tcp", addr); !errors.As(err, new(*blockedError)) {
			t.Errorf("dialling %s unchecked = %v, want it blocked", addr, err)
		}
	}
}

func TestPostTriesEachAddress(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	var dialled atomic.Int64
	o := ClientOptions{
		AllowNetworks: prefixes("127.0.0.0/8", "10.0.0.0/8"),
		Lookup:        resolvesTo("10.0.0.1", "10.0.0.2", "127.0.0.1"),
		Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled.Add(1)
			switch {
			case strings.HasPrefix(addr, "10.0.0.1:"): // hangs
				<-ctx.Done()
				return nil, ctx.Err()
			case strings.HasPrefix(addr, "10.0.0.2:"):
				return nil, syscall.ECONNREFUSED
			}
			return new(net.Dialer).DialContext(ctx, network, rcv.addr)
		},
	}
	wantOK(t, "Post to a name whose first two addresses fail", post(t, newClient(t, o), "http://crm.example.com/"))
	if n := dialled.Load(); n != 3 {
		t.Errorf("%d addresses were dialled, want 3", n)
	}
	o.Lookup = resolvesTo("10.0.0.2", "10.0.0.2")
	wantErr(t, "Post to a name whose addresses all refuse", post(t, newClient(t, o), "http://crm.example.com/"),
		delivery.KindNetwork, "connect to 10.0.0.2:80: connection refused")
}

func TestPostKeepsSecretHosts(t *testing.T) {
	resolved := func(text string) func(*Request) {
		return func(r *Request) {
			u, err := ParseResolved(text, Normalize)
			if err != nil {
				t.Fatal(err)
			}
			r.URL = u
		}
	}
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, syscall.ECONNREFUSED }
	for what, o := range map[string]ClientOptions{
		"a lookup that fails": {Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "hunter2.example", IsNotFound: true}
		}},
		"a name that is none": {Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.AddrError{Err: "no suitable address found", Addr: "hunter2.example"}
		}},
		"a lookup with words of its own": {Lookup: func(_ context.Context, host string) ([]netip.Addr, error) {
			return nil, errors.New("the resolver does not like " + host)
		}},
		"a blocked address":    {Lookup: resolvesTo("10.20.30.40")},
		"a refused connection": {Lookup: resolvesTo("127.20.30.40"), Dial: refuse},
	} {
		res := post(t, newClient(t, o), "http://unused.example/", resolved("http://hunter2.example:8111/"))
		if res.Err == nil {
			t.Errorf("%s is no error", what)
			continue
		}
		for _, secret := range []string{"hunter2", "20.30.40", "8111"} {
			if strings.Contains(res.Err.Message, secret) {
				t.Errorf("%s = %q, which shows %q of a host that may be a secret", what, res.Err.Message, secret)
			}
		}
	}
}
