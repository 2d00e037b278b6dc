package main

import (
	"bytes"
	"errors"
	"fmt"

	"bellhop/dispatcher/event"
)

// document is one JSON object of an input.
type document struct {
	line int // where it begins, from 1
	text []byte
}

// splitEvents takes an input apart: one JSON object over any number of lines, or one a line, blank lines apart (NDJSON).
// Everything is checked; an error says in which line.
func splitEvents(text []byte) ([]document, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, errors.New("is empty: a JSON object is wanted")
	}
	lines := contentLines(text)
	whole, err := event.ParseJSON(text)
	switch {
	case err == nil && whole.Kind() != event.Object:
		return nil, fmt.Errorf("line %d: not a JSON object", lines[0].line)
	case err == nil:
		return []document{{line: lines[0].line, text: bytes.TrimSpace(text)}}, nil
	case len(lines) == 1:
		return nil, fmt.Errorf("line %d: %w", lines[0].line, err)
	}
	if !isObject(lines[0].text) && !isObject(lines[len(lines)-1].text) {
		// Neither end is a document of its own, so this is one over many lines, with a mistake in it.
		return nil, fmt.Errorf("neither one JSON object nor one a line: %w", err)
	}
	for _, d := range lines {
		v, err := event.ParseJSON(d.text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", d.line, err)
		}
		if v.Kind() != event.Object {
			return nil, fmt.Errorf("line %d: not a JSON object", d.line)
		}
	}
	return lines, nil
}

func isObject(text []byte) bool {
	v, err := event.ParseJSON(text)
	return err == nil && v.Kind() == event.Object
}

// contentLines lists the lines that hold anything.
func contentLines(text []byte) []document {
	var lines []document
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			lines = append(lines, document{line: n, text: line})
		}
	}
	return lines
}
