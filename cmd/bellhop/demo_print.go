package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"bellhop/dispatcher/delivery"
)

// demoPrinter prints what goes out and what comes back, one line each, in colour on a terminal. It is safe for concurrent use.
type demoPrinter struct {
	w     io.Writer
	paint func(style, string) string
	width int    // of the terminal, in columns; 0: lines are not cut
	broke func() // called once where nobody reads any more

	mu  sync.Mutex
	err error // of the first write that did not succeed
}

func newDemoPrinter(w io.Writer, broke func()) *demoPrinter {
	p := &demoPrinter{w: w, paint: painter(w), broke: broke}
	if f := fileOf(w); f != nil && terminal(w) {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil {
			p.width = width
		}
	}
	return p
}

// text prints text as it is, in one write.
func (p *demoPrinter) text(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return
	}
	if _, p.err = io.WriteString(p.w, text); p.err != nil {
		p.broke()
	}
}

// failed is why nothing is printed any more; nil while all is well.
func (p *demoPrinter) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// The columns of a line: time, what it is, which partner or type, and the rest.
const (
	stampColumns = 12
	kindColumns  = 14
	typeColumns  = 21
)

// line prints one line: the time, what it is, and the rest, which is cut where the terminal ends.
func (p *demoPrinter) line(at time.Time, s style, kind, rest string) {
	if room := p.width - stampColumns - 1 - kindColumns; p.width > 0 && room > 0 {
		rest = cutTo(rest, room)
	}
	p.text(p.paint(faint, at.Format("15:04:05.000")) + " " + p.paint(s, padTo(kind, kindColumns)) + rest + "\n")
}

// published prints an event that goes out.
func (p *demoPrinter) published(at time.Time, a act) {
	p.line(at, bold, "event", padTo(a.typ, typeColumns)+oneLine(a.says)+" ["+string(a.encoding)+"]")
}

// nothing says why an event sends nothing.
func (p *demoPrinter) nothing(at time.Time, why string) {
	p.line(at, faint, "  -", "sends nothing: "+oneLine(why))
}

// posted prints a request as the receiver got it.
func (p *demoPrinter) posted(at time.Time, r received) {
	again := ""
	if r.attempt > 1 {
		again = fmt.Sprintf("(attempt %d) ", r.attempt)
	}
	p.line(at, cyan, "  → POST", padTo(label(r.partner, r.id), typeColumns)+oneLine(again+r.target+" "+r.body))
}

// outcome prints what became of an attempt.
func (p *demoPrinter) outcome(at time.Time, o delivery.Outcome, r *delivery.Record) {
	what := "-"
	switch {
	case r.Status != 0:
		what = fmt.Sprint(r.Status)
	case r.Error != nil:
		what = string(r.Error.Kind)
	}
	attempts := fmt.Sprintf("attempt %d of %d", r.Attempt, r.MaxAttempts)
	text, s := "", green
	switch o {
	case delivery.Delivered:
		text = "delivered in " + took(r.DurationMS)
		if r.Attempt > 1 {
			text += ", " + attempts
		}
	case delivery.Retrying:
		s, text = yellow, "retrying"
		if r.NextAttemptAt != nil {
			end := r.StartedAt.Add(time.Duration(r.DurationMS * float64(time.Millisecond)))
			text += " in " + took(float64(r.NextAttemptAt.Sub(end).Microseconds())/1000)
		}
		text += fmt.Sprintf(" (attempt %d of %d)", r.Attempt+1, r.MaxAttempts)
	case delivery.Failed:
		s, text = red, "failed for good, "+attempts
	}
	if r.Error != nil {
		text += ": " + r.Error.Message
	}
	p.line(at, s, "  ← "+what, padTo(label(r.Webhook, r.DeliveryID), typeColumns)+oneLine(text))
}

// rejected prints that an event could not be read.
func (p *demoPrinter) rejected(at time.Time, r delivery.Rejection) {
	why := ""
	if r.Error != nil {
		why = ": " + r.Error.Message
	}
	p.line(at, red, "  ← rejected", padTo(fmt.Sprintf("%s %d", r.Stream, r.EventSeq), typeColumns)+oneLine("the event cannot be read"+why))
}

// label names a delivery: who gets it, and enough of its id to tell it from the others.
func label(partner, id string) string { return padTo(partner, 8) + id[:min(len(id), 8)] }

// took is a duration in milliseconds for people.
func took(ms float64) string {
	switch {
	case ms >= 1000:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms >= 10:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// padTo fills text up with spaces to a number of columns, one at least.
func padTo(text string, columns int) string {
	return text + strings.Repeat(" ", max(1, columns-utf8.RuneCountInString(text)))
}

// cutTo cuts text that is wider than the columns.
func cutTo(text string, columns int) string {
	used := 0
	for i, r := range text {
		// East Asian characters take two columns; those in the demo's texts are all beyond this one.
		size := 1
		if r >= 0x2e80 {
			size = 2
		}
		if used+size > columns-1 && i+utf8.RuneLen(r) < len(text) {
			return text[:i] + "…"
		}
		used += size
	}
	return text
}

// summary prints the balance as a table.
func (p *demoPrinter) summary(r report) {
	var b strings.Builder
	row := func(name string, n int, s style) {
		number := fmt.Sprintf("%6d", n)
		if n > 0 && s != "" {
			number = p.paint(s, number)
		}
		fmt.Fprintf(&b, "  %-22s%s\n", name, number)
	}
	fmt.Fprintf(&b, "\n%s\n", p.paint(bold, "summary"))
	row("events published", r.Published, "")
	row("events matched", r.Matched, "")
	row("events rejected", r.Rejected, "")
	row("deliveries", r.Deliveries, "")
	row("  delivered", r.Delivered, green)
	row("  failed", r.Failed, "")
	row("retries", r.Retries, "")
	row("requests received", r.Posts, "")
	if r.Foreign > 0 {
		row("deliveries of others", r.Foreign, "")
	}
	row("lost", r.Lost, red)
	row("unsettled", r.Unsettled, red)
	if r.Twice > 0 {
		row("ended more than once", r.Twice, red)
	}
	b.WriteByte('\n')
	for _, d := range r.Details {
		fmt.Fprintf(&b, "%s\n", p.paint(red, d))
	}
	if r.ok() {
		fmt.Fprintf(&b, "%s\n", p.paint(green, "nothing was lost: the bus has one final outcome of each delivery"))
	}
	p.text(b.String())
}
