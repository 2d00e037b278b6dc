package main

import (
	"net/http"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

func TestReceiver(t *testing.T) {
	key := []byte("a key of the demo's, 32 bytes it")
	calls := make(chan received, 10)
	r, err := openReceiver(key, func(got received) { calls <- got })
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	post := func(address, id, attempt, signature string) *http.Response {
		t.Helper()
		q, err := http.NewRequest(http.MethodPost, "http://"+r.ports.Replace(address)+"/x?y=z", strings.NewReader("a=1"))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("webhook-id", id)
		q.Header.Set("webhook-attempt", attempt)
		q.Header.Set("webhook-timestamp", "17")
		q.Header.Set("webhook-signature", signature)
		resp, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	right := rule.Sign("s1", 17, []byte("a=1"), [][]byte{key})
	for _, tt := range []struct {
		what, address, id, attempt, signature string
		status                                int
		retryAfter                            string
	}{
		{"a request that is none of Bellhop's", "127.0.0.1:18001", "", "", "", 400, ""},
		{"the CRM's first delivery", "127.0.0.1:18001", "c1", "1", "", 200, ""},
		{"the CRM's second one", "127.0.0.1:18001", "c2", "1", "", 503, "1"},
		{"its second attempt", "127.0.0.1:18001", "c2", "2", "", 200, ""},
		{"what has moved", "127.0.0.1:18006", "l1", "1", "", 404, ""},
		{"a wrong signature", "127.0.0.1:18005", "s1", "1", "v1,AAAA", 401, ""},
		{"a right signature, after one of an old key", "127.0.0.1:18005", "s1", "1", "v1,AAAA " + right, 200, ""},
	} {
		resp := post(tt.address, tt.id, tt.attempt, tt.signature)
		if resp.StatusCode != tt.status || resp.Header.Get("Retry-After") != tt.retryAfter {
			t.Errorf("%s is answered with %d, Retry-After %q, want %d, %q", tt.what, resp.StatusCode, resp.Header.Get("Retry-After"), tt.status, tt.retryAfter)
		}
	}
	if n := len(calls); n != 6 {
		t.Errorf("the receiver tells of %d requests, want 6: all but the one that is none of Bellhop's", n)
	}
	if got, want := <-calls, (received{"crm", "c1", 1, "/x?y=z", "a=1", 200}); got != want {
		t.Errorf("the receiver tells of %+v, want %+v", got, want)
	}
}
