package delivery

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// stampLayout is RFC 3339 in UTC, always with its fraction, so that texts sort as times do.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// Stamp is a time as outcomes show it: RFC 3339 in UTC with microseconds.
type Stamp struct{ time.Time }

// At makes a stamp.
func At(t time.Time) Stamp { return Stamp{t.UTC()} }

// MarshalJSON implements json.Marshaler.
func (s Stamp) MarshalJSON() ([]byte, error) {
	return s.append(make([]byte, 0, len(stampLayout)+2)), nil
}

func (s Stamp) append(b []byte) []byte {
	b = append(b, '"')
	b = s.UTC().AppendFormat(b, stampLayout)
	return append(b, '"')
}

// UnmarshalJSON implements json.Unmarshaler. Any RFC 3339 time is read that is one in UTC too.
func (s *Stamp) UnmarshalJSON(b []byte) error {
	t, err := time.Parse(time.RFC3339Nano, strings.Trim(string(b), `"`))
	if err != nil {
		return fmt.Errorf("read time: %w", err)
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return fmt.Errorf("read time: the year %d in UTC", t.Year())
	}
	s.Time = t
	return nil
}

// Rejection is the data of a rejected outcome: an event that could not be read. The payload stays in the events' stream.
type Rejection struct {
	Stream   string `json:"stream"`
	EventSeq uint64 `json:"event_seq"`
	Subject  string `json:"subject"`
	Error    *Error `json:"error"`
	Size     int    `json:"size"`
	SHA256   string `json:"sha256"`
}

// Envelope is an outcome's message: a CloudEvents 1.0 structured JSON object.
type Envelope struct {
	SpecVersion string          `json:"specversion"`
	Type        string          `json:"type"`
	ID          string          `json:"id"`
	Source      string          `json:"source"`
	Time        Stamp           `json:"time"`
	ContentType string          `json:"datacontenttype"`
	Data        json.RawMessage `json:"data"`
}

// Encode makes the message of an outcome. id is its Nats-Msg-Id, node the daemon's name, data a Record or a Rejection.
func Encode(o Outcome, id, node string, at time.Time, data any) ([]byte, error) {
	if r, ok := data.(*Record); ok {
		return AppendOutcome(make([]byte, 0, 768), o, id, node, at, r), nil
	}
	return encodeAny(o, id, node, at, data)
}

// encodeAny is Encode for any data.
func encodeAny(o Outcome, id, node string, at time.Time, data any) ([]byte, error) {
	raw, err := marshal(data)
	if err != nil {
		return nil, fmt.Errorf("encode outcome %s: %w", id, err)
	}
	b, err := marshal(Envelope{
		SpecVersion: "1.0", Type: "webhook." + string(o), ID: id, Source: "bellhop/" + node,
		Time: At(at), ContentType: "application/json", Data: raw,
	})
	if err != nil {
		return nil, fmt.Errorf("encode outcome %s: %w", id, err)
	}
	return b, nil
}

// marshal is json.Marshal without HTML escaping: bodies are read by people, and & is in nearly all of them.
func marshal(v any) ([]byte, error) {
	var sb strings.Builder
	enc := json.NewEncoder(&sb)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(sb.String(), "\n")), nil
}

// Decode reads an outcome's message. The record is nil for a rejected one.
func Decode(b []byte) (Envelope, *Record, error) {
	var e Envelope
	if err := json.Unmarshal(b, &e); err != nil {
		return e, nil, fmt.Errorf("read outcome: %w", err)
	}
	if e.Outcome() == Rejected {
		return e, nil, nil
	}
	var r Record
	if err := json.Unmarshal(e.Data, &r); err != nil {
		return e, nil, fmt.Errorf("read outcome %q: %w", e.ID, err)
	}
	return e, &r, nil
}

// Outcome returns what the message says became of the attempt.
func (e Envelope) Outcome() Outcome { return Outcome(strings.TrimPrefix(e.Type, "webhook.")) }
