package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"bellhop/cmd/bellhop/console/api"
)

// fileDiff is what changed in one rule file, as a unified diff.
type fileDiff struct {
	Path string `json:"path"`
	Diff string `json:"diff"`
}

// diffVersions compares two versions file by file, in the order of their paths; files that are the same are left out.
func diffVersions(from, to api.Version) []fileDiff {
	texts := make(map[string]*[2]string)
	collect := func(side int, files []api.File) {
		for _, f := range files {
			if texts[f.Path] == nil {
				texts[f.Path] = new([2]string)
			}
			texts[f.Path][side] = f.Text
		}
	}
	collect(0, from.Files)
	collect(1, to.Files)
	diffs := []fileDiff{}
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		text := texts[path]
		if text[0] == text[1] {
			continue
		}
		unified := diff.Diff(
			fmt.Sprintf("%s (version %d)", path, from.Number), []byte(text[0]),
			fmt.Sprintf("%s (version %d)", path, to.Number), []byte(text[1]),
		)
		// The first line repeats the two that follow it.
		_, body, _ := strings.Cut(string(unified), "\n")
		diffs = append(diffs, fileDiff{Path: path, Diff: body})
	}
	return diffs
}

// printDiffs prints them, coloured on a terminal.
func printDiffs(w io.Writer, diffs []fileDiff) error {
	paint := painter(w)
	for _, d := range diffs {
		for line := range strings.SplitSeq(strings.TrimSuffix(d.Diff, "\n"), "\n") {
			line = strings.ReplaceAll(oneLine(strings.ReplaceAll(line, "\t", "    ")), `\r`, "")
			switch {
			case strings.HasPrefix(line, "--- "), strings.HasPrefix(line, "+++ "):
				line = paint(bold, line)
			case strings.HasPrefix(line, "@@"):
				line = paint(cyan, line)
			case strings.HasPrefix(line, "+"):
				line = paint(green, line)
			case strings.HasPrefix(line, "-"):
				line = paint(red, line)
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}
