package rule

import (
	"cmp"
	"fmt"
	"slices"
	"unicode/utf8"
)

// maxText bounds a problem's text in characters: an endpoint encoded for the wire fits, a pasted file does not.
const maxText = 4000

// problems collects what is wrong, in any order; sorted puts it in file order.
type problems struct {
	list   []Problem
	errors int // of them
}

// errorAt notes an error at a scalar.
func (p *problems) errorAt(s Scalar, format string, args ...any) {
	p.add(Error, s.Pos, s.Path, format, args...)
}

// warnAt notes a warning at a scalar.
func (p *problems) warnAt(s Scalar, format string, args ...any) {
	p.add(Warning, s.Pos, s.Path, format, args...)
}

// lack notes an error of something that is not there.
func (p *problems) lack(pos Pos, path, format string, args ...any) {
	p.add(Error, pos, path, format, args...)
	p.list[len(p.list)-1].Lack = true
}

func (p *problems) add(severity Severity, pos Pos, path, format string, args ...any) {
	if severity == Error {
		p.errors++
	}
	p.list = append(p.list, Problem{Pos: pos, Path: path, Severity: severity, Text: cut(fmt.Sprintf(format, args...), maxText)})
}

// sorted returns the problems by file, in the order of the definitions' files, then by line and column.
func (p *problems) sorted(d *Definitions) []Problem {
	rank := map[string]int{}
	seen := func(file string) {
		if _, ok := rank[file]; !ok {
			rank[file] = len(rank)
		}
	}
	for _, f := range d.Files {
		seen(f.Path)
	}
	for _, x := range p.list {
		seen(x.Pos.File)
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(rank[a.Pos.File], rank[b.Pos.File]),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
		)
	})
	return p.list
}

// didYouMean ends a problem's text with the nearest of the known names, or with nothing where none is near.
func didYouMean(name string, known []string) string {
	best, least := "", 0
	for _, k := range known {
		d := distance(name, k)
		if d <= 1+len(name)/4 && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}

// distance counts the edits (insert, delete, replace, swap of neighbours) between two names.
func distance(a, b string) int {
	// Names are short by rule; what an operator pastes by mistake need not be, and no suggestion helps there.
	if len(a) > 128 || len(b) > 128 {
		return len(a) + len(b)
	}
	var before, last, row []int
	for j := range len(b) + 1 {
		last = append(last, j)
	}
	for i := range len(a) {
		row = append(make([]int, 0, len(b)+1), i+1)
		for j := range len(b) {
			d := last[j]
			if a[i] != b[j] {
				d++
			}
			d = min(d, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				d = min(d, before[j-1]+1)
			}
			row = append(row, d)
		}
		before, last = last, row
	}
	return last[len(b)]
}

// cut shortens a text for people to n characters, an ellipsis in the place of the rest.
func cut(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	i := 0
	for at := range s {
		if i == n {
			return s[:at] + "…"
		}
		i++
	}
	return s
}
