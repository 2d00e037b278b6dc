package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// maxInput bounds what is read of one input: a slip such as the wrong file must not eat the machine's memory.
const maxInput = 1 << 30

// unlessOver waits for what reads an input, which nothing else ends, until ctx ends: Ctrl-C at a prompt, or before a pipe that nobody
// writes to. What reads on then goes with the process.
func unlessOver[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		got T
		err error
	}
	done := make(chan answer, 1)
	go func() {
		got, err := read()
		done <- answer{got, err}
	}()
	select {
	case a := <-done:
		return a.got, a.err
	case <-ctx.Done():
		return *new(T), context.Cause(ctx)
	}
}

// readInput reads the whole of a file, or of standard input for "-" or "", unless ctx ends first.
func (a *app) readInput(ctx context.Context, name string) ([]byte, error) {
	return unlessOver(ctx, func() ([]byte, error) { return a.readAll(name) })
}

func (a *app) readAll(name string) ([]byte, error) {
	r := a.stdin
	if name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err // it names the file and the reason
		}
		defer f.Close()
		r = f
	} else if terminal(a.stdin) {
		fmt.Fprintln(a.stderr, "reading standard input, end it with Ctrl-D")
	}
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", inputName(name), err)
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("read %s: over %d MiB", inputName(name), maxInput>>20)
	}
	return text, nil
}

// inputName is what errors call an input.
func inputName(name string) string {
	if name == "" || name == "-" {
		return "standard input"
	}
	return name
}
