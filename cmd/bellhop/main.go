// Command bellhop is the webhook daemon and everything that operates it: a file for each command, wiring only.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses: scripts and CI rely on them.
const (
	exitDone   = 0 // it did what was asked
	exitFailed = 1 // it failed, or it found errors
	exitUsage  = 2 // the command line was wrong: nothing was tried
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit status. It prints the error, once, with what to try next.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// After the first signal the default comes back, so that a second one ends a command whose clean end hangs.
	context.AfterFunc(ctx, stop)
	return runUntil(ctx, args, stdin, stdout, stderr)
}

// runUntil executes the command line until ctx ends, and returns the exit status.
func runUntil(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	written := &noted{Writer: stdout}
	a := &app{stdin: stdin, stdout: written, stderr: stderr}
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if failed := written.failed(); err == nil && failed != nil {
		// Whoever reads the exit status alone is not to take half an answer for all of it.
		err = withHint(fmt.Errorf("not all could be printed: %w", failed), "the same again, with stdout where there is room")
		a.started = true
	}
	if err == nil {
		return exitDone
	}
	if !a.started {
		// Flags, arguments and command names are judged before any command runs.
		err = usageError{err: err}
	}
	var usage usageError
	status := exitFailed
	if errors.As(err, &usage) {
		status = exitUsage
	}
	if hintOf(err) == "" {
		// Nobody is left without a next step.
		err = withHint(err, cmd.CommandPath()+" --help")
	}
	printError(stderr, err)
	return status
}
