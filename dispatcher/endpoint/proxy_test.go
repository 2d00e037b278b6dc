package endpoint

import (
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"bellhop/dispatcher/delivery"
	"bellhop/internal/testkit"
)

// tunnel is an HTTP proxy that connects every CONNECT to one address, and answers absolute-form requests itself.
func tunnel(t *testing.T, to string, seen func(*http.Request)) http.HandlerFunc {
	var wg sync.WaitGroup
	t.Cleanup(wg.Wait)
	return func(w http.ResponseWriter, r *http.Request) {
		seen(r)
		if r.Method != http.MethodConnect {
			_, _ = io.WriteString(w, "proxied")
			return
		}
		if to == "" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		in, buf, err := http.NewResponseController(w).Hijack()
		if err != nil {
			_ = out.Close()
			return
		}
		wg.Go(func() { _, _ = io.Copy(out, buf); _ = out.(*net.TCPConn).CloseWrite() })
		wg.Go(func() { _, _ = io.Copy(in, out); _ = in.Close(); _ = out.Close() })
	}
}

func TestPostThroughHTTPProxy(t *testing.T) {
	target, pool := newTLSServer(t, true, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	var mu sync.Mutex
	var seen []string
	proxy := httptest.NewServer(tunnel(t, target.Listener.Addr().String(), func(r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization"))
	}))
	t.Cleanup(proxy.Close)

	// The proxy is on loopback, which is not allowed: its own address needs no leave.
	o := ClientOptions{AllowNetworks: []netip.Prefix{}, RootCAs: pool, Proxy: parseProxy(t, "http://me:pw@"+proxy.Listener.Addr().String())}
	o.Lookup = resolvesTo("93.184.216.34")
	c := newClient(t, o)
	res := post(t, c, "http://example.com/a b?c")
	wantOK(t, "Post through a proxy", res)
	if string(res.Body) != "proxied" {
		t.Errorf("Post through a proxy = %q, want the proxy's answer", res.Body)
	}
	res = post(t, c, "https://example.com/a b")
	wantOK(t, "Post through a tunnel", res)
	if string(res.Body) != "HTTP/2.0" {
		t.Errorf("Post through a tunnel speaks %q, want HTTP/2.0", res.Body)
	}
	auth := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:pw"))
	mu.Lock()
	defer mu.Unlock()
	want := []string{"POST http://example.com/a%20b?c " + auth, "CONNECT example.com:443 " + auth}
	if strings.Join(seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("the proxy saw %q, want %q", seen, want)
	}
}

func TestPostThroughProxyChecksTheTarget(t *testing.T) {
	for _, scheme := range []string{"http", "https", "socks5"} {
		c := newClient(t, ClientOptions{
			Proxy: parseProxy(t, scheme+"://127.0.0.1:1"), Dial: noDial(t),
			Lookup: resolvesTo("93.184.216.34", "10.0.0.1"), AllowNetworks: []netip.Prefix{},
		})
		for _, target := range []string{"http://example.com/", "https://example.com/"} {
			wantErr(t, "Post to "+target+" through "+scheme, post(t, c, target), delivery.KindBlocked, "address 10.0.0.1 is not allowed (private)")
		}
		wantErr(t, "Post to a spelled address through "+scheme, post(t, c, "http://2130706433/"), delivery.KindBlocked, "loopback")
	}
}

func TestPostProxyFailures(t *testing.T) {
	refusing := httptest.NewServer(tunnel(t, "", func(*http.Request) {}))
	t.Cleanup(refusing.Close)
	secure, _ := newTLSServer(t, false, func(http.ResponseWriter, *http.Request) {})
	closed := testkit.FreeAddress(t)
	for _, tt := range []struct{ proxy, want string }{
		{"http://me:hunter2@" + refusing.Listener.Addr().String(), "proxy: CONNECT was answered with 407 Proxy Authentication Required"},
		{"http://me:hunter2@" + closed, "proxy: connect to " + closed + ": connection refused"},
		{"socks5://me:hunter2@" + closed, "proxy: connect to " + closed + ": connection refused"},
		{"https://me:hunter2@" + secure.Listener.Addr().String(), "proxy: "},
	} {
		c := newClient(t, ClientOptions{Proxy: parseProxy(t, tt.proxy), Lookup: resolvesTo("93.184.216.34"), RootCAs: x509.NewCertPool()})
		res := post(t, c, "https://example.com/")
		wantErr(t, "Post through "+tt.proxy, res, delivery.KindNetwork, tt.want)
		if res.Err != nil && strings.Contains(res.Err.Message, "hunter2") {
			t.Errorf("Post through %s shows the proxy's password: %q", tt.proxy, res.Err.Message)
		}
	}
}

func TestPostThroughHTTPSProxy(t *testing.T) {
	target, _ := newTLSServer(t, false, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "target") })
	proxy, pool := newTLSServer(t, true, tunnel(t, target.Listener.Addr().String(), func(*http.Request) {}))
	pool.AddCert(target.Certificate())
	c := newClient(t, ClientOptions{Proxy: parseProxy(t, proxy.URL), RootCAs: pool, Lookup: resolvesTo("93.184.216.34")})
	res := post(t, c, "https://example.com/")
	wantOK(t, "Post through a tunnel over TLS", res)
	if string(res.Body) != "target" {
		t.Errorf("Post through a tunnel over TLS = %q, want the target's answer", res.Body)
	}
	wantOK(t, "Post through a proxy over TLS", post(t, c, "http://example.com/"))
}

func TestPostThroughSOCKS5(t *testing.T) {
	rcv := newReceiver(t, say(okAnswer))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); wg.Wait() })
	target := make(chan string, 1)
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 64)
		_, _ = conn.Read(buf) // methods
		_, _ = conn.Write([]byte{5, 0})
		n, _ := conn.Read(buf) // CONNECT: 5 1 0 3 length name port
		if n < 8 {
			return
		}
		target <- string(buf[5 : 5+buf[4]])
		out, err := net.Dial("tcp", rcv.addr)
		if err != nil {
			return
		}
		defer out.Close()
		_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
		wg.Go(func() { _, _ = io.Copy(conn, out) })
		_, _ = io.Copy(out, conn)
	})
	c := newClient(t, ClientOptions{Proxy: parseProxy(t, "socks5://"+l.Addr().String()), Lookup: resolvesTo("93.184.216.34")})
	wantOK(t, "Post through SOCKS5", post(t, c, "http://example.com/"))
	c.Close()
	if got := <-target; got != "example.com" {
		t.Errorf("the SOCKS5 proxy was asked for %q, want example.com", got)
	}
}

func parseProxy(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
