package event

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
	"unsafe"
)

// Decoder reads one event after another, each into the memory of the one before. Its zero value is ready. It is not safe for
// concurrent use.
type Decoder struct {
	parser parser
	event  Event
}

// Decode reads the message's event as the function Decode does. The event and all values in it are the decoder's: they hold
// until its next Decode or Forget, and as long as m.Data is not changed. Its strings ID, Source, Type and Identity may be kept.
func (d *Decoder) Decode(m Message, maxBytes int) (*Event, error) {
	d.Forget()
	if err := fits(m, maxBytes); err != nil {
		return nil, err
	}
	// Without a copy: nobody changes a message that was handed over.
	body, err := d.parser.parse(unsafe.String(unsafe.SliceData(m.Data), len(m.Data)))
	if err := d.event.read(m, body, err); err != nil {
		return nil, err
	}
	return &d.event, nil
}

// Forget lets go of the last event.
func (d *Decoder) Forget() {
	d.event = Event{}
	d.parser.reuse()
}

// fits checks a message's size.
func fits(m Message, maxBytes int) error {
	if maxBytes > 0 && len(m.Data) > maxBytes {
		return fmt.Errorf("%d bytes, at most %d", len(m.Data), maxBytes)
	}
	return nil
}

// maxID is the longest id in bytes. Each outcome holds it, and six times as long where all of it is escaped, which must fit the
// smallest messages that the outcomes' stream may be limited to.
const maxID = 2 << 10

// Decode reads the message's event: CloudEvents 1.0 in binary mode where there is a ce-specversion header, in structured
// mode where the body has a member specversion, and plain JSON otherwise. maxBytes bounds the body; 0 means no limit.
// It fails with an error whose text is fit for an operator ("not JSON: ...", "not a JSON object: list",
// "1048577 bytes, at most 1048576", "structured event without a string id") and quotes nothing of the payload, where the
// event cannot be read; such an event is rejected, never redelivered. It does not retain m.Data or m.Header.
func Decode(m Message, maxBytes int) (*Event, error) {
	if err := fits(m, maxBytes); err != nil {
		return nil, err
	}
	body, err := ParseJSON(m.Data)
	e := new(Event)
	if err := e.read(m, body, err); err != nil {
		return nil, err
	}
	return e, nil
}

// read takes the event out of a message and its parsed body, or of the error that parsing it brought.
func (e *Event) read(m Message, body Value, err error) error {
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if body.kind != Object {
		return fmt.Errorf("not a JSON object: %v", body.kind)
	}
	*e = Event{Type: m.Type, Time: m.Time.UTC(), Data: body, Seq: m.Seq}
	if _, ok := header(m.Header, "ce-specversion"); ok {
		err = e.binary(m)
	} else if body.Field("specversion").kind != Missing {
		err = e.structured(body)
	} else {
		err = e.plain(m)
	}
	if err != nil {
		return err
	}
	if n := len(e.ID); n > maxID {
		return fmt.Errorf("its id is %d bytes long, at most %d", n, maxID)
	}
	return nil
}

// structured takes the envelope out of the body (CloudEvents JSON event format, 3).
func (e *Event) structured(body Value) error {
	id := body.Field("id")
	if id.kind != String || id.text == "" {
		return errors.New("structured event without a string id")
	}
	data, err := structuredData(body)
	if err != nil {
		return err
	}
	e.Data = data
	// Cloned: ids are kept for longer than the payload, which a slice of it would keep too.
	e.ID, e.Source = strings.Clone(id.text), strings.Clone(textOf(body.Field("source")))
	if t, ok := ParseTime(textOf(body.Field("time"))); ok {
		e.Time = t
	}
	e.Identity = named(e.Source, e.ID)
	return nil
}

// structuredData reads the payload of a structured event, which the JSON event format allows to be in base64.
func structuredData(body Value) (Value, error) {
	data := body.Field("data")
	encoded := body.Field("data_base64")
	if data.kind != Missing || encoded.kind == Missing {
		if data.kind != Object {
			return Value{}, fmt.Errorf("structured event whose data is no object: %v", data.kind)
		}
		return data, nil
	}
	if encoded.kind != String {
		return Value{}, fmt.Errorf("structured event whose data_base64 is no string: %v", encoded.kind)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded.text)
	if err != nil {
		return Value{}, errors.New("structured event whose data_base64 is not base64")
	}
	if data, err = ParseJSON(raw); err != nil {
		return Value{}, fmt.Errorf("structured event whose data_base64 is not JSON: %w", err)
	}
	if data.kind != Object {
		return Value{}, fmt.Errorf("structured event whose data_base64 is no object: %v", data.kind)
	}
	return data, nil
}

// binary takes the envelope out of the headers; the body is the data (CloudEvents HTTP protocol binding, 3.1).
func (e *Event) binary(m Message) error {
	id, _ := header(m.Header, "ce-id")
	id = headerText(id)
	if !utf8.ValidString(id) {
		return errors.New("header ce-id is not UTF-8")
	}
	source, _ := header(m.Header, "ce-source")
	source = headerText(source)
	if !utf8.ValidString(source) {
		return errors.New("header ce-source is not UTF-8")
	}
	e.Source = source
	at, _ := header(m.Header, "ce-time")
	if t, ok := ParseTime(headerText(at)); ok {
		e.Time = t
	}
	if id == "" {
		return e.plain(m)
	}
	e.ID, e.Identity = id, named(source, id)
	return nil
}

// plain identifies an event that brings no id of its own: by the publisher's message id, else by its place in the stream.
func (e *Event) plain(m Message) error {
	id, _ := header(m.Header, "Nats-Msg-Id")
	if !utf8.ValidString(id) {
		return errors.New("header Nats-Msg-Id is not UTF-8")
	}
	if id != "" {
		e.ID, e.Identity = id, named(e.Source, id)
		return nil
	}
	e.ID = m.Stream + "-" + strconv.FormatUint(m.Seq, 10)
	e.Identity = placed(m.Stream, m.Created, m.Seq)
	return nil
}

// header returns the first value of the header of that name in any case, and whether there is such a header. Of several
// spellings the exact one wins, then the least: a map's order must not decide an event's id.
func header(h map[string][]string, name string) (string, bool) {
	if vs := h[name]; len(vs) > 0 {
		return vs[0], true
	}
	best, value := "", ""
	for k, vs := range h {
		if len(k) == len(name) && len(vs) > 0 && strings.EqualFold(k, name) && (best == "" || k < best) {
			best, value = k, vs[0]
		}
	}
	return value, best != ""
}

// headerText decodes the value of a CloudEvents header: quotes of older publishers come off, then percent escapes are
// decoded, once (CloudEvents HTTP protocol binding, 3.1.3.2). What is no escape stays as it is.
func headerText(s string) string {
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' {
		s = unquote(s[1 : n-1])
	}
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// unquote resolves the backslash escapes inside a quoted string (RFC 7230, 3.2.6).
func unquote(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out = append(out, s[i])
	}
	return string(out)
}

// unhex returns a hex digit's value, -1 for anything else.
func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// textOf returns a string's text, "" for any other kind.
func textOf(v Value) string {
	if v.kind != String {
		return ""
	}
	return v.text
}

// ParseTime reads an RFC 3339 time, lower-case t and z allowed (section 5.6), and gives it in UTC. It reports false for
// anything else, leap seconds included, and for a time that is outside the years 0 to 9999 in UTC, which RFC 3339 could
// not write.
func ParseTime(s string) (time.Time, bool) {
	const shortest = "2006-01-02T15:04:05Z"
	var buf [64]byte
	if len(s) < len(shortest) || len(s) > len(buf) {
		return time.Time{}, false
	}
	b := buf[:copy(buf[:], s)]
	if b[10] == 't' {
		b[10] = 'T'
	}
	if b[len(b)-1] == 'z' {
		b[len(b)-1] = 'Z'
	}
	// The library takes an hour of one digit, a comma for the point and an offset of 24 hours.
	if b[13] != ':' || b[19] == ',' {
		return time.Time{}, false
	}
	if zone := b[len(b)-len("+00:00"):]; b[len(b)-1] != 'Z' && (string(zone[1:3]) > "23" || string(zone[4:]) > "59") {
		return time.Time{}, false
	}
	var t time.Time
	if t.UnmarshalText(b) != nil {
		return time.Time{}, false
	}
	t = t.UTC()
	return t, t.Year() >= 0 && t.Year() <= 9999
}
