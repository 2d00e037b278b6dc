package endpoint

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
)

// writePEM writes a certificate and its key, and gives the names of the files.
func writePEM(t *testing.T, name string, c tls.Certificate) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	der, err := x509.MarshalECPrivateKey(c.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, key: {Type: "EC PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func loadTLS(t *testing.T, ca, cert, key string) TLS {
	t.Helper()
	own, err := LoadTLS(ca, cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// serveTLS serves with a configuration of its own, and counts connections.
func serveTLS(t *testing.T, config *tls.Config, http2 bool, h http.HandlerFunc) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	var conns atomic.Int64
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.TLS = config
	s.StartTLS()
	t.Cleanup(s.Close)
	return s, &conns
}

func TestPostWithClientCertificate(t *testing.T) {
	serverCert, _ := signed(t, func(*x509.Certificate) {})
	clientCert, clientPool := signed(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	otherCert, _ := signed(t, func(*x509.Certificate) {})
	ca, _ := writePEM(t, "server", serverCert)
	cert, key := writePEM(t, "client", clientCert)
	otherFile, otherKey := writePEM(t, "other", otherCert)

	for _, http2 := range []bool{false, true} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			name := fmt.Sprintf("%s, HTTP/2 %v", tls.VersionName(version), http2)
			s, _ := serveTLS(t, &tls.Config{
				Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clientPool, MaxVersion: version,
			}, http2, func(w http.ResponseWriter, r *http.Request) {
				_, _ = fmt.Fprintf(w, "%s %d", r.Proto, len(r.TLS.PeerCertificates))
			})
			lane := mustParse(t, s.URL).Lane
			with := func(own TLS) *Client { return newClient(t, ClientOptions{Lanes: map[string]TLS{lane: own}}) }

			c := with(loadTLS(t, ca, cert, key))
			for range 3 {
				res := post(t, c, s.URL)
				wantOK(t, "Post with a certificate over "+name, res)
				want := "HTTP/1.1 1"
				if http2 {
					want = "HTTP/2.0 1"
				}
				if string(res.Body) != want {
					t.Errorf("over %s the server saw %q, want %q", name, res.Body, want)
				}
			}
			// The trust and the certificate are that endpoint's alone.
			wantErr(t, "Post to an endpoint without the CA over "+name, post(t, newClient(t, ClientOptions{}), s.URL), delivery.KindTLS, "unknown authority")
			wantErr(t, "Post to another spelling of the host over "+name, post(t, c, strings.Replace(s.URL, "127.0.0.1", "127.1", 1)), delivery.KindTLS, "unknown authority")
			wantErr(t, "Post without a certificate over "+name, post(t, with(loadTLS(t, ca, "", "")), s.URL), delivery.KindTLS, "remote error: tls: ")
			wantErr(t, "Post with another's certificate over "+name, post(t, with(loadTLS(t, ca, otherFile, otherKey)), s.URL), delivery.KindTLS, "remote error: tls: ")
			wantErr(t, "Post with another CA over "+name, post(t, with(loadTLS(t, otherFile, cert, key)), s.URL), delivery.KindTLS, "unknown authority")
		}
	}
}

func TestPostWithClientCertificateThroughProxy(t *testing.T) {
	serverCert, _ := signed(t, func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} })
	clientCert, clientPool := signed(t, func(*x509.Certificate) {})
	ca, _ := writePEM(t, "server", serverCert)
	cert, key := writePEM(t, "client", clientCert)
	s, _ := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{serverCert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clientPool}, false,
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, len(r.TLS.PeerCertificates))
		})
	proxy := httptest.NewServer(tunnel(t, s.Listener.Addr().String(), func(*http.Request) {}))
	t.Cleanup(proxy.Close)
	c := newClient(t, ClientOptions{
		Proxy: parseProxy(t, proxy.URL), Lookup: resolvesTo("93.184.216.34"), AllowNetworks: loopback,
		Lanes: map[string]TLS{"https://example.com:443": loadTLS(t, ca, cert, key)},
	})
	res := post(t, c, "https://example.com/")
	wantOK(t, "Post with a certificate through a proxy", res)
	if string(res.Body) != "1" {
		t.Errorf("the server saw %q certificates, want 1", res.Body)
	}
	wantErr(t, "Post without through the proxy", post(t, c, "https://other.example.com/"), delivery.KindTLS, "")
}

func TestLoadTLSErrors(t *testing.T) {
	a, _ := signed(t, func(*x509.Certificate) {})
	b, _ := signed(t, func(*x509.Certificate) {})
	certA, keyA := writePEM(t, "a", a)
	_, keyB := writePEM(t, "b", b)
	text := filepath.Join(t.TempDir(), "text")
	broken := filepath.Join(t.TempDir(), "broken")
	for file, content := range map[string][]byte{text: []byte("hello"), broken: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	gone := filepath.Join(t.TempDir(), "gone")
	for _, tt := range []struct{ ca, cert, key, want string }{
		{gone, "", "", "ca: open " + gone + ": no such file"},
		{text, "", "", "ca: " + text + " holds no certificate in PEM"},
		{"", certA, "", "key: empty, but needed with cert"},
		{"", "", keyA, "cert: empty, but needed with key"},
		{"", gone, keyA, "cert: open " + gone + ": no such file"},
		{"", text, keyA, "cert: " + text + " holds no certificate in PEM"},
		{"", keyA, keyA, "cert: " + keyA + " holds no certificate in PEM"},
		{"", broken, keyA, "cert: " + broken + " holds a certificate that cannot be read: x509: "},
		{"", certA, gone, "key: open " + gone + ": no such file"},
		{"", certA, text, "key: " + text + " does not go with " + certA},
		{"", certA, keyB, "key: " + keyB + " does not go with " + certA + ": tls: private key does not match public key"},
	} {
		_, err := LoadTLS(tt.ca, tt.cert, tt.key)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("LoadTLS(%q, %q, %q) = %v, want %q", tt.ca, tt.cert, tt.key, err, tt.want)
		}
	}
}

func TestPostTLSReusesConnections(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		cert, pool := signed(t, func(*x509.Certificate) {})
		s, conns := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, http2, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = fmt.Fprintf(w, "%d", len(body))
		})
		c := newClient(t, ClientOptions{RootCAs: pool})
		for _, size := range []int{1, 8 << 10, 100 << 10, 1 << 20} {
			res := post(t, c, s.URL, func(r *Request) { r.Body = bytes.Repeat([]byte("x"), size) })
			wantOK(t, fmt.Sprintf("Post of %d bytes over TLS", size), res)
			if string(res.Body) != fmt.Sprint(size) {
				t.Errorf("of %d bytes over TLS %s arrived", size, res.Body)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("4 POSTs over TLS, HTTP/2 %v, took %d connections, want 1", http2, n)
		}
		if c.direct != nil && c.direct.speaks(mustParse(t, s.URL)) == http2 {
			t.Errorf("the server speaks HTTP/2: %v, and the client does not know", http2)
		}
	}
}

func TestPostTLSOverClosedIdleConnections(t *testing.T) {
	onlyDirect(t)
	cert, pool := signed(t, func(*x509.Certificate) {})
	s, conns := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, false, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, ClientOptions{RootCAs: pool})
	lane := mustParse(t, s.URL).Lane
	for i := range 5 {
		wantOK(t, "Post to a TLS server that closes idle connections", post(t, c, s.URL))
		s.CloseClientConnections() // which waits until they are closed
		idle := c.direct.idle.get(lane, time.Now())
		if idle == nil {
			t.Fatal("no connection is idle")
		}
		// The end is on its way over loopback; the client is not to see it in time by luck.
		eventually(t, "the connection's end", func() bool {
			_ = idle.SetDeadline(time.Now().Add(time.Minute))
			_ = idle.raw.Read(idle.look)
			return idle.stale
		})
		c.direct.idle.put(idle, time.Now())
		if n := conns.Load(); n != int64(i+1) {
			t.Errorf("%d POSTs took %d connections", i+1, n)
		}
	}
}

// A server that gives up HTTP/2, or takes it up, is followed.
func TestPostFollowsTheProtocol(t *testing.T) {
	onlyDirect(t)
	cert, pool := signed(t, func(*x509.Certificate) {})
	proto := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }
	servers := map[bool]*httptest.Server{}
	for _, http2 := range []bool{false, true} {
		servers[http2], _ = serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, http2, proto)
	}
	var now atomic.Bool
	c := newClient(t, ClientOptions{RootCAs: pool, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, servers[now.Load()].Listener.Addr().String())
	}})
	for _, http2 := range []bool{false, true, true, false, true, false, false} {
		now.Store(http2)
		c.direct.idle.drain()
		c.transport.CloseIdleConnections()
		want := "HTTP/1.1"
		if http2 {
			want = "HTTP/2.0"
		}
		res := post(t, c, "https://127.0.0.1/")
		wantOK(t, "Post", res)
		if string(res.Body) != want {
			t.Errorf("the server is spoken to in %s, want %s", res.Body, want)
		}
	}
}

// eventually polls for what other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}
