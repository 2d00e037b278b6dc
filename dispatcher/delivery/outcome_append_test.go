package delivery

import (
	"testing"
	"time"
)

// FuzzOutcome holds the outcome's own encoder against encoding/json, and what it writes against its reader.
func FuzzOutcome(f *testing.F) {
	f.Add("course.completed", "crm", "https://crm.example.com/?a=1&b=<2>", "a=1&b=2", 503, uint64(17), int64(12400), uint8(0xff))
	f.Add("", "", "\u2028\u2029\x00\x1f\"\\\b\f\n\r\t", "\xff\xfe\xc3\xa9\xed\xa0\x80", 0, uint64(1<<63), int64(0), uint8(0))
	f.Add("a.b", "x", "é漢😀\x7f", "<script>&", 200, uint64(0), int64(1), uint8(0x15))
	f.Fuzz(func(t *testing.T, typ, rule, endpoint, body string, status int, seq uint64, micros int64, has uint8) {
		at := time.Unix(1_700_000_000, int64(seq%1e9)).UTC()
		next, truncated := At(at.Add(time.Minute)), has&1 == 1
		r := &Record{
			DeliveryID: "d", EventID: body, EventType: typ, EventSeq: seq, Rule: rule, Webhook: rule, RulesVersion: "9f1c2ab34de0",
			Endpoint: endpoint, Run: 1, Attempt: int(has), MaxAttempts: 11, StartedAt: At(at), Status: status,
			DurationMS: float64(max(micros, 0)%1e12) / 1000,
		}
		if has&2 != 0 {
			r.Error = &Error{Kind: KindStatus, Message: body}
		}
		if has&4 != 0 {
			r.NextAttemptAt = &next
		}
		if has&8 != 0 {
			r.Response = &Body{Body: body, Truncated: &truncated}
		}
		if has&16 != 0 {
			r.Request = &Body{Body: endpoint}
		}
		id := OutcomeID("d", 1, int(has))
		want, err := encodeAny(Failed, id, rule, at, r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Encode(Failed, id, rule, at, r)
		if err != nil || string(got) != string(want) {
			t.Fatalf("Encode = %s, %v\nwant     %s", got, err, want)
		}
		env, back, err := Decode(got)
		if err != nil || env.ID != id || back.EventSeq != seq || back.Status != status || !back.StartedAt.Equal(at.Truncate(time.Microsecond)) {
			t.Errorf("Decode(%s) = %+v, %+v, %v", got, env, back, err)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	truncated := false
	r := &Record{
		DeliveryID: "0123456789abcdef0123456789abcdef", EventID: "3f0c-17", EventType: "course.completed", EventSeq: 17, Rule: "crm-completions",
		Webhook: "crm", RulesVersion: "9f1c2ab34de0", Endpoint: "https://crm.example.com/hooks/course%20done", Run: 1, Attempt: 1,
		MaxAttempts: 11, StartedAt: At(time.Now()), DurationMS: 12.4, Status: 200, Response: &Body{Body: "ok", Truncated: &truncated},
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Encode(Delivered, "0123456789abcdef0123456789abcdef.1.1", "node", r.StartedAt.Time, r)
		}
	})
	b.Run("reflect", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = encodeAny(Delivered, "0123456789abcdef0123456789abcdef.1.1", "node", r.StartedAt.Time, r)
		}
	})
}
