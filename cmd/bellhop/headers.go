package main

import (
	"bytes"
	"encoding/json"
)

// trialHeader is one header, its name as it goes out.
type trialHeader struct{ Name, Value string }

// trialHeaders are a request's headers in their order. As JSON they are an object that keeps it.
type trialHeaders []trialHeader

// MarshalJSON implements json.Marshaler.
func (h trialHeaders) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	b.WriteByte('{')
	for i, header := range h {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := enc.Encode(header.Name); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(header.Value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
