package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"bellhop/cmd/internal/profile"
)

// process is a child of the benchmark. Its standard error is kept for the case that it fails.
type process struct {
	name   string
	cmd    *exec.Cmd
	exited chan struct{}
	err    error // of Wait, once exited is closed
	log    logTail
}

// start starts a child that dies with this process.
func start(name string, cmd *exec.Cmd) (*process, error) {
	p := &process{name: name, cmd: cmd, exited: make(chan struct{})}
	return p, p.start()
}

func (p *process) start() error {
	dieWithParent(p.cmd)
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	return nil
}

// stop asks the child to end and waits for it; one that does not is killed, and that is an error.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.exited:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("%s did not stop within %s", p.name, stopWithin)
	}
	if p.err != nil {
		return p.failed(p.err)
	}
	return nil
}

// failed is an error with the end of what the child said.
func (p *process) failed(err error) error {
	return fmt.Errorf("%s: %w\n%s", p.name, err, p.log.String())
}

// stopWithin bounds the end of a child.
const stopWithin = 40 * time.Second

// logTail keeps the end of what is written to it, and calls line with every whole line. It is safe for concurrent use.
type logTail struct {
	mu   sync.Mutex
	kept []byte
	part []byte
	line func([]byte) // nil: nobody
}

func (l *logTail) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 8 << 10
	l.kept = append(l.kept, b...)
	if over := len(l.kept) - most; over > 0 {
		l.kept = append(l.kept[:0], l.kept[over:]...)
	}
	if l.line != nil {
		for _, c := range b {
			if c == '\n' {
				l.line(l.part)
				l.part = l.part[:0]
				continue
			}
			l.part = append(l.part, c)
		}
	}
	return len(b), nil
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.kept)
}

// served is a child that answers commands: a line of JSON on its standard input, a line of JSON on its standard output.
type served struct {
	*process
	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
}

// serveSelf starts this program again as one of its parts, and reads its first line into hello.
func (b *bench) serveSelf(part string, hello any, args ...string) (*served, error) {
	if b.o.profile != "" {
		args = append(args, "-profile", filepath.Join(b.o.profile, part))
	}
	cmd := exec.Command(b.self, append([]string{part}, args...)...) //nolint:gosec // G204: this program itself
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	// A pipe of our own: the one of StdoutPipe is closed by Wait, with what is still to be read.
	out, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", part, err)
	}
	cmd.Stdout = w
	p, err := start(part, cmd)
	_ = w.Close()
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	s := &served{process: p, in: in, out: bufio.NewReader(out)}
	if err := s.read(hello); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// ask sends a command and reads its answer.
func (s *served) ask(command, answer any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	line, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("ask %s: %w", s.name, err)
	}
	if _, err := s.in.Write(append(line, '\n')); err != nil {
		return s.failed(err)
	}
	return s.read(answer)
}

func (s *served) read(answer any) error {
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return s.failed(fmt.Errorf("no answer: %w", err))
	}
	if err := json.Unmarshal(line, answer); err != nil {
		return s.failed(fmt.Errorf("read its answer: %w", err))
	}
	return nil
}

// close ends the child by the end of its input.
func (s *served) close() error {
	_ = s.in.Close()
	select {
	case <-s.exited:
	case <-time.After(stopWithin):
		return s.stop()
	}
	if s.err != nil {
		return s.failed(s.err)
	}
	return nil
}

// part is the child's side: it says hello, then answers commands until its input ends.
type part[C any] struct {
	hello   any
	answer  func(C) (any, error)
	profile string // a folder for profiles; "" writes none
}

func (p part[C]) run() (err error) {
	if p.profile != "" {
		stop, failed := profile.Start(p.profile)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	say := json.NewEncoder(os.Stdout)
	if err := say.Encode(p.hello); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	in := json.NewDecoder(os.Stdin)
	for {
		var c C
		if err := in.Decode(&c); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		a, err := p.answer(c)
		if err != nil {
			return err
		}
		if err := say.Encode(a); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
}

// send starts this program again as a part that does one thing: it reads the order from its standard input and writes what it did to
// its standard output.
func (b *bench) send(ctx context.Context, part string, order, done any) error {
	line, err := json.Marshal(order)
	if err != nil {
		return fmt.Errorf("%s: %w", part, err)
	}
	args := []string{part}
	if b.o.profile != "" {
		args = append(args, "-profile", filepath.Join(b.o.profile, part))
	}
	cmd := exec.CommandContext(ctx, b.self, args...) //nolint:gosec // G204: this program itself
	cmd.Stdin = bytes.NewReader(line)
	cmd.Env = append(cmd.Environ(), "SSL_CERT_FILE="+b.ca)
	var out bytes.Buffer
	cmd.Stdout = &out
	p, err := start(part, cmd)
	if err != nil {
		return err
	}
	<-p.exited
	if p.err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx) // and not that it was killed for it
		}
		return p.failed(p.err)
	}
	if err := json.Unmarshal(out.Bytes(), done); err != nil {
		return fmt.Errorf("%s: read what it did: %w", part, err)
	}
	return nil
}

// errand is the other side of send.
func errand[O, D any](part string, args []string, do func(O) (D, error)) (err error) {
	flags := flag.NewFlagSet(part, flag.ContinueOnError)
	profiles := flags.String("profile", "", "folder for profiles")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	if *profiles != "" {
		stop, failed := profile.Start(*profiles)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	var order O
	if err := json.NewDecoder(os.Stdin).Decode(&order); err != nil {
		return fmt.Errorf("read the order: %w", err)
	}
	done, err := do(order)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(done)
}

// spent is what this process has used so far: CPU and memory, and the bytes that it has allocated.
func spent() (u usage, alloc uint64, err error) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	u, err = usageOf(os.Getpid())
	return u, mem.TotalAlloc, err
}
