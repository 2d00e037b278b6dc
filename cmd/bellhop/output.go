package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// output is the value of -o: text unless json.
type output string

func (o *output) json() bool     { return *o == "json" }
func (o *output) Type() string   { return "FORMAT" }
func (o *output) String() string { return string(*o) }

// Set implements pflag.Value.
func (o *output) Set(s string) error {
	switch s {
	case "text", "json":
		*o = output(s)
		return nil
	}
	return fmt.Errorf("want text or json")
}

// register gives a command its -o.
func (o *output) register(cmd *cobra.Command) {
	*o = "text"
	cmd.Flags().VarP(o, "output", "o", "how to print: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// printJSON prints one indented JSON document. Nothing is escaped for HTML: a form's & stays readable.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// table prints rows in aligned columns.
func table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, c := range row {
			cells[i] = oneLine(c)
		}
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	return tw.Flush()
}

// oneLine makes text safe to print inside a line: what came out of a file or off the bus must not move a terminal's cursor.
func oneLine(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			q := fmt.Sprintf("%+q", r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// terminal tells whether a stream, read or written, is a terminal.
func terminal(w any) bool {
	f := fileOf(w)
	return f != nil && term.IsTerminal(int(f.Fd()))
}

// fileOf is the file that an output or input is, nil where it is none.
func fileOf(w any) *os.File {
	if n, ok := w.(*noted); ok {
		w = n.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// noted is an output that remembers the first error of writing to it.
type noted struct {
	io.Writer
	first atomic.Pointer[error]
}

func (n *noted) Write(b []byte) (int, error) {
	w, err := n.Writer.Write(b)
	if err != nil {
		n.first.CompareAndSwap(nil, &err)
	}
	return w, err
}

// failed is the first error, nil where all was written. It waits for no write.
func (n *noted) failed() error {
	if err := n.first.Load(); err != nil {
		return *err
	}
	return nil
}

// style is one way to emphasize text on a terminal (ECMA-48, 8.3.117).
type style string

// The styles in use.
const (
	bold   style = "1"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
	faint  style = "2"
)

// painter returns a function that paints text for w: only a terminal gets colours, and none where NO_COLOR asks for none.
func painter(w io.Writer) func(style, string) string {
	if !terminal(w) || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return func(_ style, text string) string { return text }
	}
	return func(s style, text string) string { return "\x1b[" + string(s) + "m" + text + "\x1b[0m" }
}

// count gives "1 rule" or "2 rules".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
