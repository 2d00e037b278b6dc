package console

import (
	"bufio"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
)

// pipes is a listener whose connections are pipes, on which time can be the test's.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial() net.Conn {
	here, there := net.Pipe()
	p.conns <- there
	return here
}

// untilClosed reads a connection to its end, and tells how long that took.
func untilClosed(c net.Conn) (string, time.Duration) {
	began := time.Now()
	text, _ := io.ReadAll(c)
	return string(text), time.Since(began)
}

// Whoever is slow, in sending headers or a body, in reading the answer, or in asking again, is let go in time.
func TestTimeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan error, 1)
		s := &Server{o: Options{Log: zap.NewNop()}, failed: make(chan error, 1)}
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		s.serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.Copy(io.Discard, r.Body)
			for chunk := strings.Repeat("x", 4096); err == nil && r.URL.Path == "/endless"; {
				_, err = io.WriteString(w, chunk)
			}
			handled <- err
		}))
		send := func(text string) net.Conn {
			c := l.dial()
			if _, err := io.WriteString(c, text); err != nil {
				t.Fatal(err)
			}
			return c
		}
		soon := func(what string, took, limit time.Duration) {
			t.Helper()
			if took < limit || took > limit+time.Second {
				t.Errorf("%s is let go after %s, want %s", what, took, limit)
			}
		}

		c := send("GET / HTTP/1.1\r\nHost: localhost\r\nX-A")
		_, took := untilClosed(c)
		soon("who does not end its headers", took, headerTime)
		c.Close()

		c = send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nabc")
		began := time.Now()
		if err := <-handled; err == nil {
			t.Error("a body that is never sent was read")
		}
		soon("who does not send its body", time.Since(began), requestTime)
		c.Close()

		c = send("GET /endless HTTP/1.1\r\nHost: localhost\r\n\r\n")
		began = time.Now()
		if err := <-handled; err == nil {
			t.Error("an answer that nobody reads was written")
		}
		soon("who does not read its answer", time.Since(began), requestTime)
		c.Close()

		c = send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		in := bufio.NewReader(c)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("the answer is %v, %v", resp, err)
		}
		<-handled
		began = time.Now()
		if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
			t.Errorf("an idle connection ends with %v, want its end", err)
		}
		soon("who does not ask again", time.Since(began), idleTime)
		c.Close()

		if err := s.servers[0].Close(); err != nil {
			t.Error(err)
		}
		s.wg.Wait()
	})
}

func TestHeadersAreBounded(t *testing.T) {
	s, _ := open(t, nil)
	for size, want := range map[int]int{1 << 10: 200, 8 << 10: 200, 32 << 10: 431, 256 << 10: 431} {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		// All of it: an answer does not wait for more.
		go func() {
			_, _ = io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Long: "+strings.Repeat("a", size)+"\r\n\r\n")
		}()
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if !strings.HasPrefix(line, fmt.Sprintf("HTTP/1.1 %d ", want)) {
			t.Errorf("%d bytes of headers are answered with %q, %v, want %d", size, line, err, want)
		}
		c.Close()
	}
}

// Every answer has the headers that keep a browser from doing more with it than it is for.
func TestEveryAnswerHasItsSecurityHeaders(t *testing.T) {
	s, _ := open(t, nil)
	const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
		"manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
	for _, tt := range []struct {
		method, path, host string
		status             int
	}{
		{"GET", "/", "", 200}, {"GET", "/assets/app.js", "", 200}, {"GET", "/healthz", "", 200}, {"GET", "/metrics", "", 200}, {"GET", "/api/v1/stats", "", 200},
		{"GET", "/nothing", "", 404}, {"GET", "/api/v1/stats", "evil.example.com", 403}, {"POST", "/api/v1/rules/rollback", "", 403},
		{"GET", "/badge.svg", "", 200}, {"GET", "/widget", "", 200},
	} {
		header := map[string]string{}
		if tt.host != "" {
			header["Host"] = tt.host
		}
		code, _, h := ask(t, tt.method, s.URL()+tt.path, "", header)
		if code != tt.status {
			t.Errorf("%s %s = %d, want %d", tt.method, tt.path, code, tt.status)
		}
		want := map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY",
			"Permissions-Policy": "camera=(), geolocation=(), microphone=()", "Cross-Origin-Resource-Policy": "same-origin", "Content-Security-Policy": policy,
		}
		switch tt.path {
		case "/widget": // may be framed, by nobody unless it is configured
			delete(want, "X-Frame-Options")
			delete(want, "Cross-Origin-Resource-Policy")
		case "/badge.svg": // an image of other pages
			delete(want, "Cross-Origin-Resource-Policy")
		}
		for name, value := range want {
			if got := h.Get(name); got != value {
				t.Errorf("%s %s has %s %q, want %q", tt.method, tt.path, name, got, value)
			}
		}
		if data := strings.HasPrefix(tt.path, "/api/") || tt.path == "/metrics"; data && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s has Cache-Control %q, want no-store", tt.method, tt.path, h.Get("Cache-Control"))
		}
	}
}

// What authenticates is compared by functions that take as long whatever is wrong, never by == : no measurement could tell
// reliably, so the source is looked at.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	files := token.NewFileSet()
	secret := func(e ast.Expr) (name string) {
		ast.Inspect(e, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				switch strings.ToLower(id.Name) {
				case "sum", "key", "sign", "signature", "token", "got":
					name = id.Name
				}
			}
			return name == ""
		})
		return name
	}
	constant := 0
	for _, file := range []string{"access.go", "session.go"} {
		f, err := parser.ParseFile(files, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				if empty, ok := n.Y.(*ast.BasicLit); n.Op != token.EQL && n.Op != token.NEQ || ok && empty.Value == `""` {
					return true
				}
				if one, other := secret(n.X), secret(n.Y); one != "" || other != "" {
					if call, ok := n.X.(*ast.CallExpr); !ok || !strings.HasSuffix(fmt.Sprint(call.Fun), "ConstantTimeCompare}") {
						t.Errorf("%s compares %s%s by %s", files.Position(n.Pos()), one, other, n.Op)
					}
				}
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && (x.Name == "subtle" && n.Sel.Name == "ConstantTimeCompare" || x.Name == "hmac" && n.Sel.Name == "Equal") {
					constant++
				}
			}
			return true
		})
	}
	if constant < 2 {
		t.Errorf("%d comparisons in constant time, want one of tokens and one of sessions", constant)
	}
}
