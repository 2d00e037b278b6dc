package endpoint

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// netHTTPHead reads the same with net/http, as its transport does: over interim responses, to the final one.
func netHTTPHead(r *bufio.Reader) (*http.Response, error) {
	for {
		resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodPost})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 100 {
			return nil, errMalformed
		}
		if resp.StatusCode > 199 || resp.StatusCode == 101 {
			return resp, nil
		}
	}
}

func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 429 Slow\r\nRetry-After: 5\r\nRetry-After: 6\r\n\r\nbody",
		"HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 3\n\nabc",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
		"HTTP/1.1 503 No\r\nConnection: x,\r\n  close\r\nRetry-After:\r\n Sun, 01 Mar\r\n\t2026 12:00:30 GMT\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nContent-Length: 02\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/2.7 204  \r\nContent-Length: 9\r\n\r\n", "HTTP/0.0 200 OK\r\n\r\n", "HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\nx",
		"HTTP/1.1 200\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nA:b\r\n \r\n\r\n", "HTTP/1.1 +20 OK\r\n\r\n", "HTTP/1.1 199 OK\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > 8<<10 {
			return // the bounds are other tests'
		}
		for _, src := range []io.Reader{bytes.NewReader(wire), iotest.OneByteReader(bytes.NewReader(wire))} {
			resp, err := netHTTPHead(bufio.NewReader(bytes.NewReader(wire)))
			same(t, wire, src, resp, err)
		}
	})
}

// same compares what the two make of a response. Of bodies net/http's are read here as they were before the direct way.
func same(t *testing.T, wire []byte, src io.Reader, resp *http.Response, err error) {
	r := reader{src: src, buf: make([]byte, 16)}
	h, mine := r.readHead()
	if err != nil && strings.Contains(err.Error(), "bad trailer key") {
		return // net/http has an opinion on trailers, which nobody reads here
	}
	if (err == nil) != (mine == nil) {
		t.Fatalf("%q: net/http says %v, the reader %v", wire, err, mine)
	}
	if err != nil {
		return
	}
	if h.status != resp.StatusCode {
		t.Fatalf("%q: the status is %d, the reader says %d", wire, resp.StatusCode, h.status)
	}
	if h.status != 101 && (h.length != resp.ContentLength || h.chunked != (len(resp.TransferEncoding) > 0 && h.status != 204 && h.status != 304)) {
		t.Fatalf("%q: the length is %d, encoded %v; the reader says %d, %v", wire, resp.ContentLength, resp.TransferEncoding, h.length, h.chunked)
	}
	if h.close != resp.Close {
		t.Fatalf("%q: close is %v, the reader says %v", wire, resp.Close, h.close)
	}
	if h.status == 429 || h.status == 503 {
		if want := resp.Header.Get("Retry-After"); h.retryAfter != strings.Trim(want, " \t") {
			t.Fatalf("%q: Retry-After is %q, the reader says %q", wire, want, h.retryAfter)
		}
	}
	if h.status == 101 {
		return
	}
	b := body{r: &r, kept: make([]byte, 0, keepLimit)}
	end := b.read(h)
	want, err := io.ReadAll(resp.Body)
	if (err == nil) != (end == nil) && h.length != -1 {
		t.Fatalf("%q: the body's end is %v, the reader says %v", wire, err, end)
	}
	if h.chunked && err == nil && end != nil || h.chunked && err != nil && end == nil && !strings.Contains(err.Error(), "trailer") {
		t.Fatalf("%q: the chunks' end is %v, the reader says %v", wire, err, end)
	}
	if !bytes.Equal(b.kept, want[:min(len(want), keepLimit)]) || b.n != len(want) {
		t.Fatalf("%q: the body is %q, the reader says %d bytes, %q", wire, want, b.n, b.kept)
	}
}
