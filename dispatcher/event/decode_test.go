package event_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"bellhop/dispatcher/event"
)

var stored = time.Date(2026, 3, 1, 12, 0, 0, 250_000_000, time.FixedZone("", 3600))

// message is what the bus would hand over.
func message(data string, header map[string][]string) event.Message {
	return event.Message{
		Stream: "EVENTS", Created: time.Unix(1700000000, 5), Seq: 17, Time: stored,
		Type: "course.completed", Subject: "events.course.completed", Header: header, Data: []byte(data),
	}
}

type header = map[string][]string

func TestDecode(t *testing.T) {
	const streamTime = "2026-03-01T11:00:00.25Z"
	encoded := base64.StdEncoding.EncodeToString([]byte(`{"user":{"id":7,"ssn":1}}`))
	for _, tt := range []struct {
		name                     string
		data                     string
		header                   header
		id, source, time, inside string
	}{
		{"plain", `{"user":{"id":7}}`, nil, "EVENTS-17", "", streamTime, `{"user":{"id":7}}`},
		{"plain with a message id", `{}`, header{"Nats-Msg-Id": {"m-1", "m-2"}}, "m-1", "", streamTime, `{}`},
		{"plain with a message id in another case", `{}`, header{"nats-msg-id": {"m-1"}}, "m-1", "", streamTime, `{}`},
		{"plain with an empty message id", `{}`, header{"Nats-Msg-Id": {""}}, "EVENTS-17", "", streamTime, `{}`},
		{"plain with a percent sign in its id", `{}`, header{"Nats-Msg-Id": {"a%41"}}, "a%41", "", streamTime, `{}`},
		{"plain with other headers of CloudEvents", `{"id":"x"}`, header{"ce-id": {"c"}}, "EVENTS-17", "", streamTime, `{"id":"x"}`},

		{"structured", `{"specversion":"1.0","id":"e-1","source":"/lms","type":"other","time":"2026-01-02T03:04:05+02:00","data":{"a":1}}`,
			nil, "e-1", "/lms", "2026-01-02T01:04:05Z", `{"a":1}`},
		{"structured in lower case time", `{"specversion":"1.0","id":"e","time":"2026-01-02t03:04:05.120z","data":{}}`,
			nil, "e", "", "2026-01-02T03:04:05.12Z", `{}`},
		{"structured with a bad time", `{"specversion":"1.0","id":"e","time":"yesterday","data":{}}`, nil, "e", "", streamTime, `{}`},
		{"structured with a time that is no string", `{"specversion":"1.0","id":"e","time":5,"data":{}}`, nil, "e", "", streamTime, `{}`},
		{"structured of another version", `{"specversion":2,"id":"e","data":{}}`, nil, "e", "", streamTime, `{}`},
		{"structured with a source that is no string", `{"specversion":"1.0","id":"e","source":1,"data":{}}`, nil, "e", "", streamTime, `{}`},
		{"structured with a message id", `{"specversion":"1.0","id":"e","data":{}}`, header{"Nats-Msg-Id": {"m"}}, "e", "", streamTime, `{}`},
		{"structured with data twice", `{"specversion":"1.0","id":"e","data":1,"data":{"a":2}}`, nil, "e", "", streamTime, `{"a":2}`},
		{"structured in base64", `{"specversion":"1.0","id":"e","data_base64":"` + encoded + `"}`, nil, "e", "", streamTime, `{"user":{"id":7}}`},
		{"structured with a password", `{"specversion":"1.0","id":"e","data":{"user":{"Password":"x","id":1}}}`,
			nil, "e", "", streamTime, `{"user":{"id":1}}`},

		{"binary", `{"a":1}`, header{"ce-specversion": {"1.0"}, "ce-id": {"b-1"}, "ce-source": {"/lms"}, "ce-time": {"2026-01-02T03:04:05Z"}},
			"b-1", "/lms", "2026-01-02T03:04:05Z", `{"a":1}`},
		{"binary in another case", `{}`, header{"Ce-Specversion": {"1.0"}, "CE-ID": {"b-1"}, "cE-sOurce": {"s"}}, "b-1", "s", streamTime, `{}`},
		{"binary with escapes", `{}`, header{"ce-specversion": {"1.0"}, "ce-id": {"Euro%20%e2%82%AC%"}, "ce-source": {"50%25%zz%4"}},
			"Euro €%", "50%%zz%4", streamTime, `{}`},
		{"binary with quotes", `{}`, header{"ce-specversion": {"1.0"}, "ce-id": {`"a \"b\" %41"`}, "ce-source": {`"`}},
			`a "b" A`, `"`, streamTime, `{}`},
		{"binary without an id", `{}`, header{"ce-specversion": {"1.0"}, "ce-source": {"s"}}, "EVENTS-17", "s", streamTime, `{}`},
		{"binary with a message id", `{}`, header{"ce-specversion": {"1.0"}, "ce-id": {""}, "Nats-Msg-Id": {"m"}}, "m", "", streamTime, `{}`},
		{"binary of an empty version", `{}`, header{"ce-specversion": {""}, "ce-id": {"b"}}, "b", "", streamTime, `{}`},
		{"binary with a bad time", `{}`, header{"ce-specversion": {"1.0"}, "ce-id": {"b"}, "ce-time": {"\xff"}}, "b", "", streamTime, `{}`},
		{"binary around a structured body", `{"specversion":"1.0","id":"e","data":{}}`, header{"ce-specversion": {"1.0"}, "ce-id": {"b"}},
			"b", "", streamTime, `{"specversion":"1.0","id":"e","data":{}}`},
	} {
		e, err := event.Decode(message(tt.data, tt.header), 0)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if e.ID != tt.id || e.Source != tt.source || e.Type != "course.completed" || e.Seq != 17 {
			t.Errorf("%s: id %q source %q type %s seq %d, want id %q source %q type course.completed seq 17",
				tt.name, e.ID, e.Source, e.Type, e.Seq, tt.id, tt.source)
		}
		if got := e.Attr("time").Text(); got != tt.time || e.Time.Location() != time.UTC {
			t.Errorf("%s: time %s in %v, want %s in UTC", tt.name, got, e.Time.Location(), tt.time)
		}
		if got := string(e.Data.AppendJSON(nil)); got != tt.inside {
			t.Errorf("%s: data %s, want %s", tt.name, got, tt.inside)
		}
	}
}

// TestDecoder has one decoder read what differs in size and shape, so that each finds what another left behind.
func TestDecoder(t *testing.T) {
	wide := func(members int) string {
		b := []byte(`{"list":[1,[2,{"x":"y"}],"z"]`)
		for i := range members {
			b = fmt.Appendf(b, `,"m%d":{"v":"%d"}`, i, i)
		}
		return string(append(b, '}'))
	}
	var d event.Decoder
	type kept struct{ id, source, identity, want string }
	var ids []kept
	for _, text := range []string{
		wide(3), `{}`, wide(40), `{"a":[`, wide(3), wide(1000), `{"a":1,"a":{"b":[]}}`, wide(20), `[1]`, wide(257), `{"list":[]}`,
		`{"specversion":"1.0","id":"e-1","source":"/lms","data":` + wide(18) + `}`, `{"specversion":"1.0","data":{}}`, wide(1), wide(60),
	} {
		m := message(text, nil)
		want, err := event.Decode(m, 0)
		got, failed := d.Decode(m, 0)
		if !same(got, want) || errText(failed) != errText(err) {
			t.Fatalf("%.80s: gives %+v, %v, want %+v, %v", text, got, failed, want, err)
		}
		if got != nil {
			ids = append(ids, kept{got.ID, got.Source, got.Identity, want.Identity})
			if len(text) > 500 && got.Data.Field("m17").Field("v").Text() != "17" {
				t.Errorf("%.80s: m17 is %v", text, got.Data.Field("m17"))
			}
		}
		clear(m.Data)
	}
	for _, k := range ids {
		if k.identity != k.want || (k.id != "e-1" && k.id != "EVENTS-17") || (k.source != "" && k.source != "/lms") {
			t.Errorf("kept %q, %q, %q, which have changed", k.id, k.source, k.identity)
		}
	}
	if e, err := d.Decode(message(`{"a":"long"}`, nil), 5); e != nil || errText(err) != "12 bytes, at most 5" {
		t.Errorf("beyond the limit: %v, %v", e, err)
	}
	small := message(`{"user":{"id":1,"name":"Ana"},"tags":["a","b"]}`, header{"Nats-Msg-Id": {"m-1"}})
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Decode(small, 0); err != nil {
			t.Error(err)
		}
	}); n > 2 {
		t.Errorf("a small event takes %v allocations, want those of its identity alone", n)
	}
}

func TestDecodeErrors(t *testing.T) {
	binary := header{"ce-specversion": {"1.0"}}
	for _, tt := range []struct {
		data   string
		header header
		want   string
	}{
		{"", nil, "not JSON: empty"},
		{"hello", nil, "not JSON: expected a value at byte 0"},
		{`{"user":{"name":"Ada`, nil, "not JSON: ends at byte 20, expected a closing quote"},
		{"{\"a\":\"\xc3(\"}", nil, "not JSON: invalid UTF-8 at byte 6"},
		{`[{}]`, nil, "not a JSON object: list"},
		{`"{}"`, nil, "not a JSON object: string"},
		{`null`, nil, "not a JSON object: null"},
		{`[]`, binary, "not a JSON object: list"},
		{``, binary, "not JSON: empty"},
		{`{"specversion":"1.0","data":{}}`, nil, "structured event without a string id"},
		{`{"specversion":"1.0","id":"` + strings.Repeat("é", 1024) + `x","data":{}}`, nil, "its id is 2049 bytes long, at most 2048"},
		{`{}`, header{"Nats-Msg-Id": {strings.Repeat("x", 2049)}}, "its id is 2049 bytes long, at most 2048"},
		{`{}`, header{"ce-specversion": {"1.0"}, "ce-id": {strings.Repeat("x", 2049)}}, "its id is 2049 bytes long, at most 2048"},
		{`{"specversion":"1.0","id":5,"data":{}}`, nil, "structured event without a string id"},
		{`{"specversion":"1.0","id":"","data":{}}`, nil, "structured event without a string id"},
		{`{"specversion":"1.0","id":"e"}`, nil, "structured event whose data is no object: missing"},
		{`{"specversion":"1.0","id":"e","data":null}`, nil, "structured event whose data is no object: null"},
		{`{"specversion":"1.0","id":"e","data":"{}"}`, nil, "structured event whose data is no object: string"},
		{`{"specversion":"1.0","id":"e","data":[],"data_base64":"e30="}`, nil, "structured event whose data is no object: list"},
		{`{"specversion":"1.0","id":"e","data_base64":{}}`, nil, "structured event whose data_base64 is no string: object"},
		{`{"specversion":"1.0","id":"e","data_base64":"e30"}`, nil, "structured event whose data_base64 is not base64"},
		{`{"specversion":"1.0","id":"e","data_base64":"e3s="}`, nil,
			"structured event whose data_base64 is not JSON: expected a quoted name at byte 1"},
		{`{"specversion":"1.0","id":"e","data_base64":"W10="}`, nil, "structured event whose data_base64 is no object: list"},
		{`{}`, header{"Nats-Msg-Id": {"\xff"}}, "header Nats-Msg-Id is not UTF-8"},
		{`{}`, header{"ce-specversion": {"1.0"}, "ce-id": {"%C0%A0"}}, "header ce-id is not UTF-8"},
		{`{}`, header{"ce-specversion": {"1.0"}, "ce-id": {"x"}, "ce-source": {"\xff"}}, "header ce-source is not UTF-8"},
	} {
		_, err := event.Decode(message(tt.data, tt.header), 0)
		if err == nil || err.Error() != tt.want {
			t.Errorf("Decode(%q, %v) gives error %v, want %s", tt.data, tt.header, err, tt.want)
		}
	}
}

func TestDecodeSize(t *testing.T) {
	data := `{"a":"` + strings.Repeat("x", 92) + `"}`
	for limit, want := range map[int]string{0: "", 100: "", 101: "", 99: "100 bytes, at most 99"} {
		_, err := event.Decode(message(data, nil), limit)
		if got := errText(err); got != want {
			t.Errorf("Decode of 100 bytes with a limit of %d gives error %q, want %q", limit, got, want)
		}
	}
	// The size is looked at first: what is too large is not read at all.
	if _, err := event.Decode(message(strings.Repeat("x", 100), nil), 99); errText(err) != "100 bytes, at most 99" {
		t.Errorf("Decode of 100 bytes that are no JSON gives error %v, want the size", err)
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestIdentity(t *testing.T) {
	identities := map[string]string{}
	decode := func(name string, m event.Message) string {
		e, err := event.Decode(m, 0)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return e.Identity
	}
	add := func(name string, m event.Message) {
		identity := decode(name, m)
		if other, ok := identities[identity]; ok {
			t.Errorf("%q and %q have the same identity %q", name, other, identity)
		}
		identities[identity] = name
	}
	add("plain", message(`{}`, nil))
	later := message(`{}`, nil)
	later.Seq++
	add("plain, next sequence", later)
	again := message(`{}`, nil)
	again.Created = again.Created.Add(1)
	add("plain, stream made again", again)
	other := message(`{}`, nil)
	other.Stream = "EVENTS2"
	add("plain, other stream", other)
	add("message id like a place", message(`{}`, header{"Nats-Msg-Id": {"EVENTS-17"}}))
	ids := func(source, id string) header {
		return header{"ce-specversion": {"1.0"}, "ce-source": {source}, "ce-id": {id}}
	}
	add("source a id bc", message(`{}`, ids("a", "bc")))
	add("source ab id c", message(`{}`, ids("ab", "c")))
	add("no source, id abc", message(`{}`, ids("", "abc")))
	add("lengths inside", message(`{}`, ids("a2:bc", "d")))
	add("lengths inside too", message(`{}`, ids("a", "2:bc1:d")))

	same := decode("structured", message(`{"specversion":"1.0","source":"a","id":"bc","data":{}}`, nil))
	if identities[same] != "source a id bc" {
		t.Errorf("a structured and a binary event of one source and id have different identities: %q", same)
	}
	moved := message(`{}`, ids("a", "bc"))
	moved.Seq, moved.Stream, moved.Created = 99, "X", time.Time{}
	if identities[decode("moved", moved)] != "source a id bc" {
		t.Error("the identity of an event with an id depends on its place in the stream")
	}
}

// TestHeaderOrder checks that of two spellings always the same is taken, whatever the order of the map.
func TestHeaderOrder(t *testing.T) {
	for range 50 {
		e, err := event.Decode(message(`{}`, header{"CE-SpecVersion": {"1.0"}, "Ce-Id": {"2"}, "CE-ID": {"1"}, "cE-id": {"3"}}), 0)
		if err != nil || e.ID != "1" {
			t.Fatalf("Decode = %+v, %v, want the id 1", e, err)
		}
	}
}

func TestArchived(t *testing.T) {
	for data, want := range map[string]bool{
		`{"user":{"archived":true}}`: true, `{"user":{"archived":false}}`: false, `{"user":{"archived":"true"}}`: false,
		`{"user":{"archived":1}}`: false, `{"user":{}}`: false, `{"user":true}`: false, `{}`: false, `{"archived":true}`: false,
	} {
		e, err := event.Decode(message(data, nil), 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Archived(); got != want {
			t.Errorf("Archived of %s = %v, want %v", data, got, want)
		}
	}
}

func TestAttr(t *testing.T) {
	e := &event.Event{ID: "e-1", Source: "/lms", Type: "course.completed", Time: stored}
	for name, want := range map[string]string{
		"id": "e-1", "source": "/lms", "type": "course.completed", "time": "2026-03-01T11:00:00.25Z", "data": "", "ID": "", "": "",
	} {
		v := e.Attr(name)
		if v.Text() != want || (v.Kind() == event.Missing) != (want == "") {
			t.Errorf("Attr(%q) = %v %q, want %q", name, v.Kind(), v.Text(), want)
		}
	}
	if got := new(event.Event).Attr("source").Kind(); got != event.Missing {
		t.Errorf("Attr(source) of an event without a source is %v, want missing", got)
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02T03:04:05Z":           "2026-01-02T03:04:05Z",
		"2026-01-02T03:04:05.1Z":         "2026-01-02T03:04:05.1Z",
		"2026-01-02T03:04:05.123456789Z": "2026-01-02T03:04:05.123456789Z",
		"2026-01-02T03:04:05-05:30":      "2026-01-02T08:34:05Z",
		"2026-01-02t03:04:05z":           "2026-01-02T03:04:05Z",
		"2026-01-02 03:04:05Z":           "",
		"2026-01-02T3:04:05Z":            "",
		"2026-01-02T03:04:05,5Z":         "",
		"2026-01-02T03:04:05":            "",
		"2026-02-30T03:04:05Z":           "",
		"2026-01-02T03:04:05+23:59":      "2026-01-01T03:05:05Z",
		"2026-01-02T03:04:05+24:00":      "",
		"2026-01-02T03:04:05+01:60":      "",
		"2026-01-02T03:04:05+1:00":       "",
		"9999-12-31T23:59:59-01:00":      "",
		"2026-01-02":                     "",
		"":                               "",
		"2026-01-02T03:04:05." + strings.Repeat("0", 80) + "Z": "",
	} {
		got, ok := event.ParseTime(text)
		if !ok {
			if want != "" {
				t.Errorf("ParseTime(%q) refuses it, want %s", text, want)
			}
			continue
		}
		if got.Format(time.RFC3339Nano) != want {
			t.Errorf("ParseTime(%q) = %s, want %q", text, got.Format(time.RFC3339Nano), want)
		}
	}
}
