package delivery

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestIDTellsAllThreeApart(t *testing.T) {
	seen := map[string][3]string{}
	for _, in := range [][3]string{
		{"a", "b", "c"}, {"ab", "", "c"}, {"a", "bc", ""}, {"", "ab", "c"}, {"a", "b", "C"}, {"a\x00b", "c", ""}, {"a", "\x00bc", ""},
	} {
		id := ID(in[0], in[1], in[2])
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
			t.Errorf("ID(%q) = %q, want 32 lower-case hex digits", in, id)
		}
		if other, ok := seen[id]; ok {
			t.Errorf("ID(%q) = ID(%q)", in, other)
		}
		seen[id] = in
	}
	// Ids are in streams and in receivers' tables: they must stay what they are.
	if got, want := ID("identity", "crm-completions", "crm"), "87515c4a7df3a06539e2bbc2222edbd0"; got != want {
		t.Errorf("ID = %s, want %s as ever", got, want)
	}
}

func TestOutcomeID(t *testing.T) {
	id := OutcomeID("abc", 2, 11)
	if id != "abc.2.11" {
		t.Errorf("OutcomeID = %q, want abc.2.11", id)
	}
	if d, run, attempt, ok := ParseOutcomeID(id); !ok || d != "abc" || run != 2 || attempt != 11 {
		t.Errorf("ParseOutcomeID(%q) = %q, %d, %d, %v", id, d, run, attempt, ok)
	}
	for _, bad := range []string{"", "EVENTS-17.rejected", "a.b.c", "a.1", "a.1.2.3"} {
		if _, _, _, ok := ParseOutcomeID(bad); ok {
			t.Errorf("ParseOutcomeID(%q) is ok, want not", bad)
		}
	}
}

func TestDelaysDouble(t *testing.T) {
	p, err := NewPolicy(5*time.Second, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := 5 * time.Second
	for n := 1; n <= 10; n++ {
		if got := p.Delay(n); got != want {
			t.Errorf("Delay(%d) = %s, want %s", n, got, want)
		}
		want *= 2
	}
	if got := p.Delay(1000); got <= 0 {
		t.Errorf("Delay(1000) = %s, want a long one", got)
	}
	steady, err := NewPolicy(time.Second, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := steady.Delay(40); got != time.Second {
		t.Errorf("Delay(40) with multiplier 1 = %s, want 1s", got)
	}
}

func TestMayPass(t *testing.T) {
	p, err := NewPolicy(time.Second, 2, []string{"timeout", "network", "408", "425", "429", "5xx"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind   Kind
		status int
		want   bool
	}{
		{KindTimeout, 0, true}, {KindNetwork, 0, true}, {KindTLS, 0, false}, {KindBlocked, 0, false}, {KindRender, 0, false},
		{KindStatus, 408, true}, {KindStatus, 425, true}, {KindStatus, 429, true}, {KindStatus, 500, true}, {KindStatus, 599, true},
		{KindStatus, 400, false}, {KindStatus, 404, false}, {KindStatus, 301, false}, {KindStatus, 999, false}, {KindStatus, 0, false},
	} {
		if got := p.MayPass(tt.kind, tt.status); got != tt.want {
			t.Errorf("MayPass(%s, %d) = %v, want %v", tt.kind, tt.status, got, tt.want)
		}
	}
	for _, bad := range []string{"", "tls", "50x", "99", "5xxx", "teapot", "0xx"} {
		if _, err := NewPolicy(time.Second, 2, []string{bad}); err == nil {
			t.Errorf("NewPolicy with retry_on %q is fine, want an error", bad)
		}
	}
}

func TestRetryAfterLengthensOnly(t *testing.T) {
	p, err := NewPolicy(5*time.Second, 2, nil)
	if err != nil {
		t.Fatal(err)
	}
	end := time.Now()
	for _, tt := range []struct{ after, want time.Duration }{
		{0, 5 * time.Second}, {time.Second, 5 * time.Second}, {time.Minute, time.Minute}, {48 * time.Hour, time.Hour},
	} {
		if got := p.Next(end, 1, tt.after).Sub(end); got != tt.want {
			t.Errorf("Next with Retry-After %s = %s, want %s", tt.after, got, tt.want)
		}
	}
}

func TestJobKeepsAll(t *testing.T) {
	for _, body := range []string{"", "a=1&b=%0A", "line\nfeed", strings.Repeat("name=%E4%B8%AD&", 50000)} {
		j := &Job{
			ID: "id", EventID: "e", EventType: "course.completed", EventSeq: 17, Rule: "r", Webhook: "w", RulesVersion: "v",
			RulesSince: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Run: 1, Attempt: 3, Due: time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC),
			Cause: &Error{KindTimeout, "late"}, Previous: json.RawMessage(`{"a":"<&>"}`), Body: []byte(body), Endpoint: "https://h/x", MaxAttempts: 11,
		}
		data, err := EncodeJob(j)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) > 100000 && len(data) > len(body)/4 {
			t.Errorf("a body of %d bytes takes %d on the bus, want it compressed", len(body), len(data))
		}
		got, err := DecodeJob(data)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) == 0 {
			got.Body = []byte{}
		}
		if !reflect.DeepEqual(got, j) {
			t.Errorf("DecodeJob(EncodeJob(j)) = %+v, want %+v", got, j)
		}
		copy(data, bytes.Repeat([]byte{'x'}, len(data)))
		if string(got.Body) != body {
			t.Errorf("the body changed with the message's bytes: it must be the job's own")
		}
	}
}

func TestDecodeJobRefuses(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": "", "no line feed": "{}", "no JSON": "x\n", "no names": "{\"v\":1}\n", "newer": `{"v":2,"id":"a","rule":"r","webhook":"w","run":1,"attempt":1}` + "\n",
		"bad gzip": `{"v":1,"id":"a","rule":"r","webhook":"w","run":1,"attempt":1,"gzip":true}` + "\nxx",
	} {
		if _, err := DecodeJob([]byte(data)); err == nil {
			t.Errorf("DecodeJob of %s is fine, want an error", name)
		}
	}
}

func TestOutcomeMessage(t *testing.T) {
	at := time.Date(2026, 11, 2, 10, 0, 0, 0, time.FixedZone("", 3600))
	next, cut := At(at.Add(5*time.Second)), false
	data, err := Encode(Retrying, "d.1.1", "node-1", at, &Record{
		DeliveryID: "d", EventID: "e", EventType: "course.completed", EventSeq: 17, Rule: "r", Webhook: "w", RulesVersion: "9f1c2ab34de0",
		Endpoint: "https://crm.example.com/a?b=1&c=2", Run: 1, Attempt: 1, MaxAttempts: 11, StartedAt: At(at), DurationMS: 12.4, Status: 503,
		Error: &Error{KindStatus, "503 Service Unavailable"}, NextAttemptAt: &next, Response: &Body{Body: "<busy>", Truncated: &cut},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"specversion":"1.0","type":"webhook.retrying","id":"d.1.1","source":"bellhop/node-1","time":"2026-11-02T09:00:00.000000Z",` +
		`"datacontenttype":"application/json","data":{"delivery_id":"d","event_id":"e","event_type":"course.completed","event_seq":17,` +
		`"rule":"r","webhook":"w","rules_version":"9f1c2ab34de0","endpoint":"https://crm.example.com/a?b=1&c=2","run":1,"attempt":1,` +
		`"max_attempts":11,"started_at":"2026-11-02T09:00:00.000000Z","duration_ms":12.4,"status":503,` +
		`"error":{"kind":"status","message":"503 Service Unavailable"},"next_attempt_at":"2026-11-02T09:00:05.000000Z",` +
		`"response":{"body":"<busy>","truncated":false}}}`
	if string(data) != want {
		t.Errorf("Encode = %s\nwant     %s", data, want)
	}
	env, rec, err := Decode(data)
	if err != nil || env.Outcome() != Retrying || rec.Status != 503 || !rec.NextAttemptAt.Equal(next.Time) {
		t.Errorf("Decode = %+v, %+v, %v", env, rec, err)
	}
}
