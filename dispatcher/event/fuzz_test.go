package event_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"bellhop/dispatcher/event"
)

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{
		`{}`, `[1,2.50,-0e+1,"a\u0062\ud83d\ude00\n"]`, `{"a":{"password":"x","b":[{"SSN":1}]},"a":2}`, `"\ud83d"`, "\xff", `{"a":1,}`,
		`{"0":0,"1":0,"2":0,"3":0,"4":0,"5":0,"6":0,"7":0,"8":0,"9":0,"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"0":1}`,
		`{"p\u0061ssword":[}`, "\ufeff{}", ` null `, strings.Repeat("[", 600),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := event.ParseJSON(data)
		if want := json.Valid(data) && utf8.Valid(data); (err == nil) != want {
			if err == nil || !strings.HasPrefix(err.Error(), "more than 512 levels") {
				t.Fatalf("ParseJSON(%q) gives error %v, want it accepted: %v", data, err, want)
			}
		}
		if err != nil {
			return
		}
		text := v.AppendJSON(nil)
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatalf("AppendJSON(%q) = %q, which is no JSON", data, text)
		}
		again, err := event.ParseJSON(text)
		if err != nil {
			t.Fatalf("ParseJSON of AppendJSON's own %q: %v", text, err)
		}
		if !equal(v, again) {
			t.Fatalf("%q comes back from %q as another value", data, text)
		}
		if second := again.AppendJSON(nil); !bytes.Equal(second, text) {
			t.Fatalf("AppendJSON gives %q, and from that %q", text, second)
		}
		inspect(t, v)
		if !utf8.Valid(v.AppendText(nil)) {
			t.Fatalf("AppendText of %q is not UTF-8", data)
		}
	})
}

// same compares two events, which may both be nil.
func same(a, b *event.Event) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.ID == b.ID && a.Source == b.Source && a.Type == b.Type && a.Time.Equal(b.Time) && a.Seq == b.Seq && a.Identity == b.Identity &&
		equal(a.Data, b.Data)
}

// equal compares two values by what they say of themselves.
func equal(a, b event.Value) bool {
	if a.Kind() != b.Kind() || a.Bool() != b.Bool() || a.Text() != b.Text() ||
		len(a.Items()) != len(b.Items()) || len(a.Fields()) != len(b.Fields()) {
		return false
	}
	for i := range a.Items() {
		if !equal(a.Items()[i], b.Items()[i]) {
			return false
		}
	}
	for i := range a.Fields() {
		if a.Fields()[i].Name != b.Fields()[i].Name || !equal(a.Fields()[i].Value, b.Fields()[i].Value) {
			return false
		}
	}
	return true
}

// inspect checks what holds of every value: no private field at any depth, each member found by its name.
func inspect(t *testing.T, v event.Value) {
	for _, item := range v.Items() {
		inspect(t, item)
	}
	for _, f := range v.Fields() {
		if strings.EqualFold(f.Name, "password") || strings.EqualFold(f.Name, "ssn") {
			t.Fatalf("a member %q got past", f.Name)
		}
		if !equal(v.Field(f.Name), f.Value) {
			t.Fatalf("Field(%q) gives another member's value", f.Name)
		}
		inspect(t, f.Value)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"user":{"id":1}}`), "", "", "", "", false)
	f.Add([]byte(`{"specversion":"1.0","id":"e","data":{"a":1}}`), "", "", "", "", false)
	f.Add([]byte(`{"specversion":"1.0","id":"e","data_base64":"e30="}`), "m", "", "", "", false)
	f.Add([]byte(`{}`), "m", "a%20b", `"q\"%zz"`, "2026-01-02T03:04:05Z", true)
	f.Add([]byte(`{}`), "\xff", "%ff", "s", "9999-12-31T23:59:59-23:00", true)
	var again event.Decoder // one for all
	f.Fuzz(func(t *testing.T, data []byte, msgID, id, source, at string, binary bool) {
		h := header{"Nats-Msg-Id": {msgID}, "Ce-Id": {id}, "ce-source": {source}, "CE-TIME": {at}}
		if binary {
			h["ce-specversion"] = []string{"1.0"}
		}
		e, err := event.Decode(message(string(data), h), 1<<16)
		if got, failed := again.Decode(message(string(data), h), 1<<16); !same(got, e) || errText(failed) != errText(err) {
			t.Fatalf("a decoder that was used before gives %+v, %v, want %+v, %v", got, failed, e, err)
		}
		if err != nil {
			if e != nil || err.Error() == "" {
				t.Fatalf("Decode gives %v and error %q", e, err)
			}
			return
		}
		if e.ID == "" || e.Identity == "" || e.Data.Kind() != event.Object || e.Type != "course.completed" {
			t.Fatalf("Decode gives a half-read event: %+v", e)
		}
		if !utf8.ValidString(e.ID) || !utf8.ValidString(e.Source) {
			t.Fatalf("Decode gives id %q and source %q, which are not UTF-8", e.ID, e.Source)
		}
		if _, err := time.Parse(time.RFC3339Nano, e.Attr("time").Text()); err != nil {
			t.Fatalf("Decode gives a time that RFC 3339 cannot write: %v", err)
		}
		inspect(t, e.Data)
	})
}
