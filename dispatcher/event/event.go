// Package event reads learning-platform events off their messages: CloudEvents 1.0, structured or binary, and plain
// JSON. It performs no I/O and never lets a field named password or ssn past its door.
package event

import (
	"strconv"
	"time"
)

// Message is what the bus hands over of one event.
type Message struct {
	Stream  string              // the stream's name
	Created time.Time           // when the stream was created; part of a plain event's identity
	Seq     uint64              // sequence in the stream
	Time    time.Time           // when the stream stored it
	Type    string              // the event type: the subject after the prefix
	Subject string              // the whole subject
	Header  map[string][]string // may be nil
	Data    []byte              // not retained after the function Decode returns; a Decoder's events are made of it
}

// Event is one decoded event. It is immutable and safe for concurrent use; one that a Decoder gives is the decoder's, and holds until that
// reads the next.
type Event struct {
	ID     string
	Source string    // "" where none was given
	Type   string    // course.completed
	Time   time.Time // UTC
	Data   Value     // always an Object
	Seq    uint64
	// Identity is what delivery ids are made from besides rule and webhook: source and id, or for an event that
	// brings no id the stream, its creation time and the sequence. Parts are length-prefixed, so no two collide.
	Identity string
}

// Archived tells whether the data's user.archived is true.
func (e *Event) Archived() bool { return e.Data.Field("user").Field("archived").Bool() }

// Attr returns the envelope's attribute as a value: "type", "id", "source" or "time" (RFC 3339 in UTC, with a fraction
// only where there is one), and the zero Value for any other name. A source that was not given is Missing.
func (e *Event) Attr(name string) Value {
	switch name {
	case "type":
		return Str(e.Type)
	case "id":
		return Str(e.ID)
	case "source":
		if e.Source == "" {
			return Value{}
		}
		return Str(e.Source)
	case "time":
		return Str(e.Time.UTC().Format(time.RFC3339Nano))
	}
	return Value{}
}

// named is the identity of an event that has an id.
func named(source, id string) string {
	b := make([]byte, 0, len("id ")+len(source)+len(id)+16)
	b = append(b, "id "...)
	b = appendPart(b, source)
	return string(appendPart(b, id))
}

// placed is the identity of an event without an id. The stream's creation time tells apart two streams of one name, the
// second of which began at sequence 1 again.
func placed(stream string, created time.Time, seq uint64) string {
	var digits [20]byte
	b := make([]byte, 0, len("at ")+len(stream)+64)
	b = append(b, "at "...)
	b = appendPart(b, stream)
	b = appendPart(b, string(strconv.AppendInt(digits[:0], created.UnixNano(), 10)))
	return string(appendPart(b, string(strconv.AppendUint(digits[:0], seq, 10))))
}

// appendPart appends the part with its length before it, so that no part can be taken for two.
func appendPart(dst []byte, part string) []byte {
	dst = strconv.AppendInt(dst, int64(len(part)), 10)
	dst = append(dst, ':')
	return append(dst, part...)
}
