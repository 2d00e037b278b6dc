package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"bellhop/dispatcher/delivery"
)

func TestDemoLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 1, 123e6, time.UTC)
	next := delivery.At(at.Add(700 * time.Millisecond))
	record := func(change func(*delivery.Record)) *delivery.Record {
		r := &delivery.Record{
			DeliveryID: "0123456789abcdef", Webhook: "crm", Attempt: 1, MaxAttempts: 4, StartedAt: delivery.At(at), DurationMS: 12.4, Status: 200,
		}
		change(r)
		return r
	}
	for _, tt := range []struct {
		print func(*demoPrinter)
		want  string
	}{
		{
			func(p *demoPrinter) { p.outcome(at, delivery.Delivered, record(func(*delivery.Record) {})) },
			"12:00:01.123   ← 200       crm     01234567     delivered in 12 ms",
		},
		{
			func(p *demoPrinter) {
				p.outcome(at, delivery.Retrying, record(func(r *delivery.Record) {
					r.Status, r.Error, r.NextAttemptAt, r.DurationMS = 503, &delivery.Error{Kind: delivery.KindStatus, Message: "503 Service Unavailable"}, &next, 200
				}))
			},
			"12:00:01.123   ← 503       crm     01234567     retrying in 500 ms (attempt 2 of 4): 503 Service Unavailable",
		},
		{
			func(p *demoPrinter) {
				p.outcome(at, delivery.Failed, record(func(r *delivery.Record) {
					r.Status, r.Attempt, r.Error = 0, 4, &delivery.Error{Kind: delivery.KindTimeout, Message: "no response within 1s"}
				}))
			},
			"12:00:01.123   ← timeout   crm     01234567     failed for good, attempt 4 of 4: no response within 1s",
		},
		{
			func(p *demoPrinter) { p.posted(at, received{"crm", "0123456789", 2, "/done", "a=\x1b[2J", 200}) },
			`12:00:01.123   → POST      crm     01234567     (attempt 2) /done a=\x1b[2J`,
		},
		{
			func(p *demoPrinter) { p.nothing(at, "no rule is on group.left") },
			"12:00:01.123   -           sends nothing: no rule is on group.left",
		},
		{
			func(p *demoPrinter) { p.width = 40; p.nothing(at, "日本語入門") },
			"12:00:01.123   -           sends nothin…",
		},
	} {
		var out bytes.Buffer
		tt.print(newDemoPrinter(&out, func() {}))
		if got := strings.TrimSuffix(out.String(), "\n"); got != tt.want {
			t.Errorf("printed\n%s\nwant\n%s", got, tt.want)
		}
	}
}

func TestCutTo(t *testing.T) {
	for _, tt := range []struct {
		text    string
		columns int
		want    string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "ab…"},
		{"日本", 4, "日本"},
		{"日本語", 4, "日…"},
		{"", 1, ""},
	} {
		if got := cutTo(tt.text, tt.columns); got != tt.want {
			t.Errorf("cutTo(%q, %d) = %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}

var errWrite = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errWrite }

func TestPrinterTellsOnceThatNobodyReads(t *testing.T) {
	broke := 0
	p := newDemoPrinter(fullDisk{}, func() { broke++ })
	p.text("a")
	p.text("b")
	if broke != 1 || !errors.Is(p.failed(), errWrite) {
		t.Errorf("the printer told %d times, of %v, want once, of %v", broke, p.failed(), errWrite)
	}
}
