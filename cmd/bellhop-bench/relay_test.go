package main

import (
	"strconv"
	"testing"
	"time"
)

// TestSentOf: a time goes from the event to the request without either being read, so that its place and length must be known.
func TestSentOf(t *testing.T) {
	at := time.Unix(1_700_000_000, 123_456_789)
	if got, want := string(sentOf(eventOf(7, usualType, at, "SAFE-101", "").Data)), strconv.FormatInt(at.UnixNano(), 10); got != want {
		t.Errorf("sentOf = %q, want %q", got, want)
	}
	for _, other := range []string{"", `{"a":1}`, `{"sent":12`} {
		if got := sentOf([]byte(other)); got != nil {
			t.Errorf("sentOf(%q) = %q, want none", other, got)
		}
	}
}

func TestValueAt(t *testing.T) {
	text := request("/hook", "", "sent=1700000000123456789&a=b")
	at, err := valueAt([]byte(text), sentField, sentDigits)
	if err != nil || text[at:at+sentDigits] != "1700000000123456789" {
		t.Errorf("valueAt = %d, %v, want the place of 1700000000123456789", at, err)
	}
	for name, other := range map[string]string{
		"no such parameter": request("/hook", "", "a=1700000000123456789"),
		"too short":         request("/hook", "", "sent=17"),
	} {
		if at, err := valueAt([]byte(other), sentField, sentDigits); err == nil {
			t.Errorf("%s: valueAt = %d, want an error", name, at)
		}
	}
}
