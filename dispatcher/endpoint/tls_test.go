package endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
)

// newTLSServer serves over TLS, HTTP/2 where asked to, and gives the pool that trusts it.
func newTLSServer(t *testing.T, http2 bool, h http.HandlerFunc) (*httptest.Server, *x509.CertPool) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = http2
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return s, pool
}

func TestPostTLS(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		s, pool := newTLSServer(t, http2, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			_, _ = io.WriteString(w, r.Proto+" "+r.RequestURI+" "+r.Header.Get("Webhook-Id")+" "+r.UserAgent()+" "+string(body))
		})
		c := newClient(t, ClientOptions{RootCAs: pool})
		want := "HTTP/1.1"
		if http2 {
			want = "HTTP/2.0"
		}
		want += " /a%20b/../%2F?q=%20& msg_1 bellhop/test a=1&b=2"
		for range 3 {
			res := post(t, c, s.URL+"/a b/../%2f?q= &", func(r *Request) { r.Headers = append(r.Headers, Header{"webhook-id", "msg_1"}) })
			wantOK(t, "Post over TLS", res)
			if string(res.Body) != want {
				t.Errorf("the server saw %q, want %q", res.Body, want)
			}
		}
	}
}

func TestPostHTTP2Failures(t *testing.T) {
	var calls atomic.Int64
	s, pool := newTLSServer(t, true, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		switch r.URL.Path {
		case "/hang":
			<-r.Context().Done()
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/redirect":
			http.Redirect(w, r, "/ok", http.StatusTemporaryRedirect)
		case "/endless":
			for {
				if _, err := w.Write(make([]byte, 4096)); err != nil {
					return
				}
			}
		}
	})
	c := newClient(t, ClientOptions{RootCAs: pool})
	res := post(t, c, s.URL+"/hang", within(short))
	wantErr(t, "Post over HTTP/2 that hangs", res, delivery.KindTimeout, "no response within 200ms")
	wantAtDeadline(t, "Post over HTTP/2 that hangs", res)
	wantErr(t, "Post over HTTP/2 that is aborted", post(t, c, s.URL+"/abort"), delivery.KindNetwork, "")
	wantErr(t, "Post over HTTP/2 that is redirected", post(t, c, s.URL+"/redirect"), delivery.KindStatus, "307 Temporary Redirect")
	endless := post(t, c, s.URL+"/endless")
	wantOK(t, "Post over HTTP/2 with an endless body", endless)
	if len(endless.Body) != 1024 || !endless.Truncated {
		t.Errorf("of an endless body over HTTP/2 %d bytes are kept, truncated %v; want 1024, true", len(endless.Body), endless.Truncated)
	}
	if n := calls.Load(); n != 4 {
		t.Errorf("the server saw %d requests, want 4: none may be sent again", n)
	}
}

// signed makes a certificate for names and addresses and the pool that trusts it.
func signed(t *testing.T, edit func(*x509.Certificate)) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	edit(tmpl)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

func TestPostTLSErrors(t *testing.T) {
	for _, tt := range []struct {
		why     string
		edit    func(*x509.Certificate)
		config  func(*tls.Config)
		unknown bool
		want    string
		quiet   string
	}{
		{why: "an unknown authority", unknown: true, want: "x509: certificate signed by unknown authority", quiet: "signed by unknown authority"},
		{why: "another host's certificate", edit: func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"hunter2.example"} }, want: "x509: cannot validate certificate for 127.0.0.1", quiet: "valid for other hosts"},
		{why: "an expired certificate", edit: func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }, want: "x509: certificate has expired", quiet: "expired"},
		{why: "old TLS", config: func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS11, tls.VersionTLS11 }, want: "tls: ", quiet: "tls: "},
	} {
		if tt.edit == nil {
			tt.edit = func(*x509.Certificate) {}
		}
		cert, pool := signed(t, tt.edit)
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		if tt.config != nil {
			tt.config(s.TLS)
		}
		s.StartTLS()
		if tt.unknown {
			pool = x509.NewCertPool()
		}
		c := newClient(t, ClientOptions{RootCAs: pool})
		wantErr(t, "Post to a server with "+tt.why, post(t, c, s.URL), delivery.KindTLS, tt.want)

		u, err := ParseResolved(s.URL, Normalize)
		if err != nil {
			t.Fatal(err)
		}
		res := post(t, c, s.URL, func(r *Request) { r.URL = u })
		wantErr(t, "Post of a secret URL to a server with "+tt.why, res, delivery.KindTLS, tt.quiet)
		if res.Err != nil && (strings.Contains(res.Err.Message, "127.0.0.1") || strings.Contains(res.Err.Message, "hunter2")) {
			t.Errorf("Post of a secret URL to a server with %s = %q, which shows the host", tt.why, res.Err.Message)
		}
		s.Close()
	}
}

func TestPostTLSToOtherProtocols(t *testing.T) {
	for _, tt := range []struct {
		answer string
		kind   delivery.Kind
		want   string
	}{
		{"HTTP/1.1 400 Bad Request\r\n\r\n", delivery.KindTLS, "the server speaks plain HTTP on this port"},
		{"220 mail.example ESMTP\r\n", delivery.KindTLS, "the server does not speak TLS on this port"},
		{"", delivery.KindNetwork, "connection closed before a response"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, tt.answer)
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
			_ = conn.Close()
		}()
		res := post(t, newClient(t, ClientOptions{}), "https://"+l.Addr().String())
		wantErr(t, "Post over TLS to a server that says "+tt.answer, res, tt.kind, tt.want)
		_ = l.Close()
		<-done
	}
}

func TestPostTLSSpelledAddress(t *testing.T) {
	s, pool := newTLSServer(t, false, func(http.ResponseWriter, *http.Request) {})
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	wantOK(t, "Post to https://127.1", post(t, newClient(t, ClientOptions{RootCAs: pool}), "https://127.1:"+port))
}
