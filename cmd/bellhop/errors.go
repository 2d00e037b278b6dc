package main

import (
	"errors"
	"fmt"
	"io"
)

// errFound ends a command that has printed its findings already: exit status 1, and not a word more.
var errFound = errors.New("errors were found")

// usageError is a mistake on the command line: exit status 2.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usagef makes a usageError.
func usagef(format string, args ...any) error { return usageError{err: fmt.Errorf(format, args...)} }

// hinted is an error that carries the next step to try.
type hinted struct {
	err  error
	next string
}

func (e hinted) Error() string { return e.err.Error() }
func (e hinted) Unwrap() error { return e.err }

// withHint attaches what to try next: a command, or a few words. It returns nil for a nil error.
func withHint(err error, next string) error {
	if err == nil {
		return nil
	}
	return hinted{err: err, next: next}
}

// hintOf returns the outermost hint, "" where there is none.
func hintOf(err error) string {
	var h hinted
	if errors.As(err, &h) {
		return h.next
	}
	return ""
}

// printError prints an error as every command does: what went wrong, and on the next line what to try.
func printError(w io.Writer, err error) {
	if errors.Is(err, errFound) {
		return
	}
	fmt.Fprintf(w, "bellhop: %v\n", err)
	if next := hintOf(err); next != "" {
		fmt.Fprintf(w, "try: %s\n", next)
	}
}
