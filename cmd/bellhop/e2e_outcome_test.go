package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// outcome is a message of the outcomes' stream.
type outcome struct {
	subject, msgID string
	envelope       map[string]any
	data           map[string]any
	text           string
}

// outcomes waits until the stream holds so many outcomes and returns all.
func (w *world) outcomes(n int, within time.Duration) []outcome {
	w.Helper()
	var list []outcome
	w.until(within, fmt.Sprintf("%d outcomes are on the bus", n), func() bool {
		s, err := w.js.Stream(w.Context(), "WEBHOOKS")
		if err != nil {
			return false
		}
		list = list[:0]
		for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
			m, err := s.GetMsg(w.Context(), seq)
			if err != nil {
				return false
			}
			o := outcome{subject: m.Subject, msgID: m.Header.Get("Nats-Msg-Id"), text: string(m.Data)}
			if err := json.Unmarshal(m.Data, &o.envelope); err != nil {
				w.Fatalf("outcome %d is no JSON: %v: %s", seq, err, m.Data)
			}
			o.data, _ = o.envelope["data"].(map[string]any)
			list = append(list, o)
		}
		return len(list) >= n
	})
	return list
}

// fraction is an RFC 3339 time in UTC with its fraction.
var fraction = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$`)

// checkEnvelope checks what all outcomes have in common, and the fields of the data: those given, and no others.
func (w *world) checkEnvelope(o outcome, kind, eventType string, fields ...string) {
	w.Helper()
	if want := "webhooks." + kind + "." + eventType; o.subject != want {
		w.Errorf("outcome on %s, want %s", o.subject, want)
	}
	for name, want := range map[string]any{"specversion": "1.0", "type": "webhook." + kind, "id": o.msgID, "source": "bellhop/node-1"} {
		if o.envelope[name] != want {
			w.Errorf("outcome's %s = %v, want %v", name, o.envelope[name], want)
		}
	}
	if at, _ := o.envelope["time"].(string); !fraction.MatchString(at) {
		w.Errorf("outcome's time = %q, want RFC 3339 in UTC", at)
	}
	got := slices.Sorted(maps.Keys(o.data))
	slices.Sort(fields)
	if !slices.Equal(got, fields) {
		w.Errorf("outcome's data has %v, want %v", got, fields)
	}
	if strings.Contains(o.text, `\u0026`) {
		w.Errorf("outcome escapes & for HTML: %s", o.text)
	}
}

// attemptFields are the fields that every attempt's outcome has.
func attemptFields(more ...string) []string {
	return append([]string{
		"delivery_id", "event_id", "event_type", "event_seq", "rule", "webhook", "rules_version", "endpoint", "run", "attempt",
		"max_attempts", "started_at", "duration_ms",
	}, more...)
}

// checkData checks fields of the data.
func (w *world) checkData(o outcome, want map[string]any) {
	w.Helper()
	for name, value := range want {
		if got := o.data[name]; !jsonEqual(got, value) {
			w.Errorf("outcome's %s = %s, want %s", name, describe(got), describe(value))
		}
	}
}

func jsonEqual(a, b any) bool { return describe(a) == describe(b) }

// instant reads a time of the data.
func (w *world) instant(o outcome, name string) time.Time {
	w.Helper()
	text, _ := o.data[name].(string)
	if !fraction.MatchString(text) {
		w.Fatalf("outcome's %s = %q, want RFC 3339 with a fraction", name, text)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		w.Fatalf("outcome's %s: %v", name, err)
	}
	return at
}

// ended is when the attempt of an outcome ended.
func (w *world) ended(o outcome) time.Time {
	w.Helper()
	ms, _ := o.data["duration_ms"].(float64)
	return w.instant(o, "started_at").Add(time.Duration(ms * float64(time.Millisecond)))
}
