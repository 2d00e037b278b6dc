package delivery

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// FuzzDecode reads whatever may be in the outcomes' stream: never a panic, and what is read once comes out again as it is.
func FuzzDecode(f *testing.F) {
	at := time.Date(2026, 5, 4, 8, 0, 0, 123456000, time.UTC)
	next := At(at.Add(5 * time.Second))
	cut := true
	for _, r := range []any{
		Record{
			DeliveryID: "d", EventID: "é", EventType: "course.completed", EventSeq: 17, Rule: "crm", Webhook: "crm", RulesVersion: "9f1c2ab34de0",
			Endpoint: "https://crm.example.com/a%20b", Run: 1, Attempt: 2, MaxAttempts: 11, StartedAt: At(at), DurationMS: 12.4, Status: 503,
			Error: &Error{KindStatus, "503 Service Unavailable"}, NextAttemptAt: &next, Response: &Body{"<&\ufffd>", &cut}, Request: &Body{Body: "a=1&b=2"},
		},
		Rejection{Stream: "EVENTS", EventSeq: 1, Subject: "events.a.b", Error: &Error{KindEvent, "not JSON"}, Size: 3, SHA256: "00"},
		Record{}, nil, "x", []int{1},
	} {
		for _, o := range []Outcome{Delivered, Retrying, Failed, Rejected, "new"} {
			b, err := Encode(o, "d.1.2", "node", at, r)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	for _, text := range []string{
		``, `{}`, `null`, `[]`, `{"type":"webhook.failed"}`, `{"type":"webhook.failed","data":null}`, `{"type":"webhook.failed","data":{"attempt":1e99}}`,
		`{"type":"webhook.failed","time":"9999-12-31T23:59:59-23:00","data":{}}`, `{"time":5,"data":{}}`, `{"type":"webhook.failed","data":{"error":{"kind":5}}}`,
		`{"type":"webhook.failed","data":{"started_at":"0000-01-01T00:00:00+23:00"}}`, `{"data":{"duration_ms":-0.0,"response":{}}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		e, r, err := Decode(data)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\r\n") {
				t.Errorf("the error %q is no single line", err)
			}
			return
		}
		if (r == nil) != (e.Outcome() == Rejected) {
			t.Fatalf("a %s has the record %v", e.Outcome(), r)
		}
		if r == nil {
			return
		}
		again, err := Encode(e.Outcome(), e.ID, strings.TrimPrefix(e.Source, "bellhop/"), e.Time.Time, r)
		if err != nil {
			t.Fatalf("Encode what was decoded: %v", err)
		}
		f, s, err := Decode(again)
		if err != nil {
			t.Fatalf("Decode(%s): %v", again, err)
		}
		one, _ := json.Marshal(r)
		two, _ := json.Marshal(s)
		if f.Outcome() != e.Outcome() || f.ID != e.ID || !bytes.Equal(one, two) {
			t.Fatalf("%s\nreads as %s\nand then as %s", data, one, two)
		}
	})
}

// FuzzDecodeJob reads whatever may be in the retries' stream, within its bounds.
func FuzzDecodeJob(f *testing.F) {
	for _, j := range []*Job{
		{ID: "d", EventID: "e", Rule: "r", Webhook: "w", Run: 1, Attempt: 2, Due: time.Date(2026, 5, 4, 8, 0, 0, 1, time.UTC), Body: []byte("a=1")},
		{ID: "d", Cause: &Error{KindTimeout, "x"}, Previous: json.RawMessage(`{"id":"d.1.1"}`), Body: bytes.Repeat([]byte("a=%C3%A9&"), 8000)},
		{},
	} {
		b, err := EncodeJob(j)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"gzip":true}` + "\nnot gzip"))
	f.Add([]byte(`{"v":2}` + "\n"))
	f.Add([]byte("\n"))
	f.Add([]byte(`{"v":1,"due":"9999-12-31T23:59:59-23:00"}` + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := DecodeJob(data)
		if err != nil {
			return
		}
		if len(j.Body) > maxJobBody {
			t.Fatalf("a body of %d bytes, at most %d", len(j.Body), maxJobBody)
		}
		again, err := EncodeJob(j)
		if err != nil {
			t.Fatalf("EncodeJob of what was decoded: %v", err)
		}
		k, err := DecodeJob(again)
		if err != nil {
			t.Fatalf("DecodeJob(%q): %v", again, err)
		}
		if !j.Due.Equal(k.Due) || j.ID != k.ID || j.Attempt != k.Attempt || !bytes.Equal(j.Body, k.Body) {
			t.Fatalf("%q reads as %+v and then as %+v", data, j, k)
		}
	})
}

// FuzzParseOutcomeID holds the two ways between an outcome's id and its parts together.
func FuzzParseOutcomeID(f *testing.F) {
	for _, s := range []string{"abc.1.1", "abc.1", "..", "a.0.1", "a.01.1", "a.b.1.2", "a.-1.1", "a.1.99999999999999999999", ".1.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, run, attempt, ok := ParseOutcomeID(s)
		if ok && OutcomeID(id, run, attempt) != s {
			t.Errorf("ParseOutcomeID(%q) = %q, %d, %d, of which OutcomeID makes %q", s, id, run, attempt, OutcomeID(id, run, attempt))
		}
	})
}
