package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const testID = "000102030405060708090a0b0c0d0e0f"

func request(path, extra, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\ncontent-length: %d\r\nWebhook-Id: %s\r\nwebhook-attempt: 2\r\n%s\r\n%s",
		path, len(body), testID, extra, body)
}

func TestParseRequest(t *testing.T) {
	whole := request(flakyPath+"/x", "X: y\r\n", "sent=12345&a=b")
	n, size, ok := parseRequest([]byte(whole + "POST"))
	if !ok || size != len(whole) {
		t.Fatalf("parseRequest = size %d, %v, want %d, true", size, ok, len(whole))
	}
	if n.sent != 12345 || n.attempt != 2 || !n.flaky || n.id[15] != 15 {
		t.Errorf("parseRequest = %+v, want sent 12345, attempt 2, flaky, the id's bytes", n)
	}
	for cut := range len(whole) {
		if _, size, ok := parseRequest([]byte(whole[:cut])); !ok || (size != 0 && size != len(whole)) {
			t.Fatalf("parseRequest of the first %d bytes = size %d, %v, want to go on", cut, size, ok)
		}
	}
	for name, text := range map[string]string{
		"a GET":             "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"no id":             "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
		"a strange length":  strings.Replace(whole, "content-length: 14", "content-length: -4", 1),
		"a header for ever": "POST / HTTP/1.1\r\nX: " + strings.Repeat("x", 70<<10),
	} {
		if _, _, ok := parseRequest([]byte(text)); ok {
			t.Errorf("parseRequest of %s: ok, want not", name)
		}
	}
}

func TestSplitSample(t *testing.T) {
	headers, body, err := splitSample([]byte(request("/hook", "Content-Type: a\r\nAccept-Encoding: gzip\r\n", "a=b")))
	if err != nil {
		t.Fatal(err)
	}
	if string(body) != "a=b" {
		t.Errorf("body = %q, want a=b", body)
	}
	var names []string
	for _, h := range headers {
		names = append(names, h[0])
	}
	if got, want := strings.Join(names, " "), "Webhook-Id webhook-attempt Content-Type"; got != want {
		t.Errorf("headers = %s, want %s", got, want)
	}
	if _, _, err := splitSample(nil); err == nil {
		t.Error("splitSample of nothing: no error, want one")
	}
}

func TestArrivedOf(t *testing.T) {
	at := func(ms int64) int64 { return ms * int64(time.Millisecond) }
	id := func(n byte) (x [16]byte) { x[0] = n; return x }
	a := arrivedOf([]note{
		{id: id(2), at: at(1200), sent: at(1000), attempt: 1},
		{id: id(1), at: at(1000), sent: at(900), attempt: 1},
		{id: id(1), at: at(1400), sent: at(900), attempt: 1}, // again
		{id: id(3), at: at(1500), attempt: 1, flaky: true},
		{id: id(3), at: at(2600), attempt: 2, flaky: true},
		{id: id(4), at: at(1600), attempt: 1, flaky: true},
		{id: id(4), at: at(2500), attempt: 2, flaky: true}, // 100 ms early
		{id: id(5), at: at(1700), attempt: 1, flaky: true}, // never again
	}, time.Second, 2)
	if a.Requests != 8 || a.Distinct != 5 || a.Duplicated != 1 || a.Early != 1 || a.Unretried != 1 {
		t.Errorf("arrivedOf = %+v, want 8 requests, 5 distinct, 1 duplicated, 1 early, 1 not retried", a)
	}
	if a.Span != 1600*time.Millisecond || a.FirstRate != 5 || a.LastRate != 10 {
		t.Errorf("arrivedOf = span %s, first rate %v, last rate %v, want 1.6s, 5, 10", a.Span, a.FirstRate, a.LastRate)
	}
	if a.Latency.Count != 2 || a.Latency.Max != 200*time.Millisecond {
		t.Errorf("latency = %+v, want 2 of at most 200ms", a.Latency)
	}
	if a.Lateness.Count != 2 || a.Lateness.Max != 100*time.Millisecond {
		t.Errorf("lateness = %+v, want 2 of at most 100ms", a.Lateness)
	}
	if got := arrivedOf(nil, 0, 0); got != (arrived{}) {
		t.Errorf("arrivedOf(nil) = %+v, want nothing", got)
	}
}

func TestEndpointURL(t *testing.T) {
	for number, want := range map[int]string{0: "http://127.0.0.1:80/x", 254: "http://127.0.0.255:80/x", 9999: "http://127.0.39.16:80/x"} {
		if got := endpointURL("http", 80, number, "/x"); got != want {
			t.Errorf("endpointURL(%d) = %s, want %s", number, got, want)
		}
	}
}
