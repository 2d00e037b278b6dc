package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"
)

// column is one column of a table: a key of its rows, and how it is printed.
type column struct {
	key, title, format string // format is of fmt; "" prints as it is, "ms" a duration in milliseconds, "mb" bytes in megabytes
}

// result is what a group has measured.
type result struct {
	Group   string           `json:"group"`
	Title   string           `json:"title"`
	Rows    []map[string]any `json:"rows,omitempty"`
	Notes   []string         `json:"notes,omitempty"`
	Skipped string           `json:"skipped,omitempty"` // why it was not measured

	columns []column
}

// add adds a row. What could not be computed is left out of it: JSON knows no NaN.
func (r *result) add(row map[string]any) {
	for key, v := range row {
		if f, is := v.(float64); is && (math.IsNaN(f) || math.IsInf(f, 0)) {
			delete(row, key)
		}
	}
	r.Rows = append(r.Rows, row)
}

func (r *result) note(format string, v ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, v...)) }

// cell prints one value.
func (c column) cell(v any) string {
	switch x := v.(type) {
	case nil:
		return "-"
	case time.Duration:
		return fmt.Sprintf("%.2f", float64(x)/float64(time.Millisecond))
	case float64:
		if c.format == "mb" {
			return fmt.Sprintf("%.1f", x/1e6)
		}
		if c.format != "" {
			return fmt.Sprintf(c.format, x)
		}
		return fmt.Sprintf("%.4g", x)
	}
	return fmt.Sprint(v)
}

// table prints a result, its columns aligned: text to the left, numbers to the right.
func (r *result) table(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s\n", r.Group, r.Title)
	if r.Skipped != "" {
		fmt.Fprintf(w, "  not measured: %s\n", r.Skipped)
	}
	if len(r.Rows) > 0 {
		width := make([]int, len(r.columns))
		text := make([]bool, len(r.columns))
		for i, c := range r.columns {
			width[i] = utf8.RuneCountInString(c.title)
			for _, row := range r.Rows {
				width[i] = max(width[i], utf8.RuneCountInString(c.cell(row[c.key])))
				if _, is := row[c.key].(string); is {
					text[i] = true
				}
			}
		}
		line := func(cells []string) {
			var b strings.Builder
			for i, cell := range cells {
				pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
				b.WriteString("  ")
				if text[i] {
					b.WriteString(cell + pad)
				} else {
					b.WriteString(pad + cell)
				}
			}
			fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
		}
		cells := make([]string, len(r.columns))
		for i, c := range r.columns {
			cells[i] = c.title
		}
		line(cells)
		for _, row := range r.Rows {
			for i, c := range r.columns {
				cells[i] = c.cell(row[c.key])
			}
			line(cells)
		}
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  %s\n", n)
	}
}

// outcome is what is written as JSON.
type outcome struct {
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Revision string    `json:"revision,omitempty"`
	Go       string    `json:"go"`
	CPUs     int       `json:"cpus"`
	Others   float64   `json:"others"` // the share of the processors that other programs took meanwhile
	Mode     string    `json:"mode"`   // quick, default, full
	Tally    tally     `json:"tally"`
	Error    string    `json:"error,omitempty"`
	Results  []*result `json:"results"`
}

func newOutcome(o options) *outcome {
	out := &outcome{Started: time.Now(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Mode: "default"}
	switch {
	case o.quick:
		out.Mode = "quick"
	case o.full:
		out.Mode = "full"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				out.Revision = s.Value
			}
		}
	}
	return out
}

// write writes the results as JSON.
func (o *outcome) write(path string) error {
	b, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
