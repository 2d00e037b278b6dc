package config

import (
	"cmp"
	"slices"
	"strings"

	"bellhop/dispatcher/rule"
)

// MergeProblems puts what ReadRules and ParseRules found (shape) and what compiling the same definitions found (meaning)
// into one list in file order. A lack that only follows from a broken shape is left out: where an endpoint is a list,
// that the webhook has no endpoint is no news.
func MergeProblems(files []rule.SourceFile, shape, meaning []rule.Problem) []rule.Problem {
	broken := map[[2]string]bool{} // file and path, of each broken part and of all that it is a part of
	for _, p := range shape {
		if p.Severity != rule.Error {
			continue
		}
		for path := p.Path; path != ""; path = path[:max(strings.LastIndexAny(path, ".["), 0)] {
			broken[[2]string{p.Pos.File, path}] = true
		}
	}
	out := slices.Clone(shape)
	for _, p := range meaning {
		if !p.Lack || !broken[[2]string{p.Pos.File, p.Path}] {
			out = append(out, p)
		}
	}
	rank := map[string]int{}
	for i, f := range files {
		rank[f.Path] = i
	}
	slices.SortStableFunc(out, func(a, b rule.Problem) int {
		return cmp.Or(
			// Files that could not be read are in no list: they come first.
			cmp.Compare(order(rank, a.Pos.File), order(rank, b.Pos.File)),
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
		)
	})
	return out
}

// order is a file's place in the list, -1 where it is in none.
func order(rank map[string]int, file string) int {
	if i, ok := rank[file]; ok {
		return i
	}
	return -1
}
