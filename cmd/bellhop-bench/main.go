// Command bellhop-bench measures Bellhop against a loop that does nothing but POST the same bytes to the same receiver. Server,
// daemon, receiver and loop are processes of their own; what is compared is measured in turn, in one run. It uses no network
// but loopback.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// usageError is a wrong command line: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command line and returns its exit status: 0 measured, 1 failed or something was lost, 2 wrong usage.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, args, stdout, stderr)
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "bellhop-bench: %v\ntry: bellhop-bench --help\n", err)
		return 2
	}
	fmt.Fprintf(stderr, "bellhop-bench: %v\n", err)
	return 1
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case "server":
			return runServer(args[1:])
		case "receiver":
			return runReceiver(args[1:])
		case "relay":
			return runRelay(args[1:])
		case "loop":
			return runLoop(args[1:])
		}
	}
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	return measure(ctx, o, stdout, stderr)
}

// options is the benchmark's command line.
type options struct {
	bellhop  string
	against  string
	minRatio float64
	quick    bool
	full     bool
	only     []string
	json     string
	profile  string
	budget   time.Duration
	arm      time.Duration
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bellhop-bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bellhop, "bellhop", "", "the bellhop `binary` to measure (default the one beside this program)")
	flags.StringVar(&o.against, "against", "", "another bellhop `binary`, measured in turn with it, by throughput alone")
	flags.Float64Var(&o.minRatio, "min-ratio", 0, "with -against: fail where the ratio is lower")
	flags.BoolVar(&o.quick, "quick", false, "half a minute: throughput, cost and latency, and little else")
	flags.BoolVar(&o.full, "full", false, "the whole counts (1,000,000 events waiting, 200,000 retries), as long as that takes")
	flags.StringVar(&only, "only", "", "these `groups` alone, comma separated: "+strings.Join(groupNames(), ", "))
	flags.StringVar(&o.json, "json", "", "write the results to this `file` as well")
	flags.StringVar(&o.profile, "profile", "", "write profiles of each process to this `folder`: throughput, else the last run of each process in the groups of -only")
	flags.DurationVar(&o.budget, "budget", 0, "begin nothing more after so long (default 3m, 30s with -quick, none with -full)")
	flags.DurationVar(&o.arm, "arm", 0, "how long one stretch is measured, about (default 1.5s, 1.2s with -quick, 4s with -full)")
	flags.Usage = func() {
		fmt.Fprint(stderr, `Usage: bellhop-bench [flags]

Measures bellhop serve, and next to it a loop that only POSTs the same bytes. Ends with status 1 where a delivery was lost.

  bellhop-bench -quick
  bellhop-bench -only throughput,latency -json bench.json
  bellhop-bench -against ../old/bellhop -min-ratio 0.9

`)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, usageError{err}
	}
	if flags.NArg() > 0 {
		return o, usageError{fmt.Errorf("unknown argument %q", flags.Arg(0))}
	}
	if o.quick && o.full {
		return o, usageError{errors.New("-quick and -full exclude each other")}
	}
	if only != "" {
		for name := range strings.SplitSeq(only, ",") {
			name = strings.TrimSpace(name)
			if !slices.Contains(groupNames(), name) {
				return o, usageError{fmt.Errorf("unknown group %q: one of %s", name, strings.Join(groupNames(), ", "))}
			}
			o.only = append(o.only, name)
		}
	}
	o.defaults()
	if o.profile != "" {
		// Daemons have a folder of their own to work in.
		folder, err := filepath.Abs(o.profile)
		if err != nil {
			return o, fmt.Errorf("find the folder for profiles: %w", err)
		}
		o.profile = folder
	}
	return o, nil
}

// defaults fills in what was left out.
func (o *options) defaults() {
	pick := func(normal, quick, full time.Duration) time.Duration {
		switch {
		case o.quick:
			return quick
		case o.full:
			return full
		}
		return normal
	}
	if o.arm <= 0 {
		o.arm = pick(1500*time.Millisecond, 1200*time.Millisecond, 4*time.Second)
	}
	if o.budget <= 0 {
		o.budget = pick(3*time.Minute, 30*time.Second, 24*time.Hour)
	}
	if o.bellhop == "" {
		if self, err := os.Executable(); err == nil {
			o.bellhop = filepath.Join(filepath.Dir(self), "bellhop")
		}
	}
}

// wants tells whether a group is to be measured.
func (o options) wants(name string) bool { return len(o.only) == 0 || slices.Contains(o.only, name) }
