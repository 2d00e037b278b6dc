package bus

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// EmbeddedMaxPayload is the largest message that the embedded server takes, in bytes.
const EmbeddedMaxPayload = 8 << 20

// ServerOptions configures an embedded server.
type ServerOptions struct {
	Dir      string // where JetStream keeps its files
	Listen   string // host:port; "" is reachable in process only; port 0 picks a free one
	Always   bool   // each write is on disk before it is confirmed
	User     string // with Password: asked of every client
	Password string
	Log      func(level ServerLevel, text string) // nil drops the server's log
}

// ServerLevel is the severity of a line of the embedded server's log.
type ServerLevel uint8

// The levels.
const (
	ServerNotice ServerLevel = iota + 1
	ServerWarning
	ServerError
)

// Server is an embedded nats-server with JetStream.
type Server struct {
	s *server.Server
}

// StartServer starts an embedded server and blocks until it takes clients.
func StartServer(o ServerOptions) (*Server, error) {
	opts := &server.Options{
		ServerName: "bellhop", JetStream: true, StoreDir: o.Dir, NoSigs: true, MaxPayload: EmbeddedMaxPayload,
		SyncAlways: o.Always, Username: o.User, Password: o.Password, DontListen: o.Listen == "",
		NoSystemAccount: false, JetStreamMaxMemory: -1, JetStreamMaxStore: -1,
	}
	if o.Listen != "" {
		host, port, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil, fmt.Errorf("nats.listen %q: %w", o.Listen, err)
		}
		if opts.Port, err = strconv.Atoi(port); err != nil {
			return nil, fmt.Errorf("nats.listen %q: %w", o.Listen, err)
		}
		opts.Host = host
		if opts.Port == 0 {
			opts.Port = server.RANDOM_PORT
		}
		// The server itself would only log a taken port and leave its caller waiting.
		if opts.Port > 0 {
			l, err := net.Listen("tcp", o.Listen)
			if err != nil {
				return nil, fmt.Errorf("the embedded server cannot listen: set nats.listen to a free address, or nats.url to the server that is there: %w", err)
			}
			if err := l.Close(); err != nil {
				return nil, fmt.Errorf("probe nats.listen: %w", err)
			}
		}
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	lg := &serverLog{log: o.Log}
	s.SetLoggerV2(lg, false, false, false)
	go s.Start()
	if !s.ReadyForConnections(30*time.Second) || !s.JetStreamEnabled() {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, errors.Join(errors.New("embedded server did not start"), lg.last())
	}
	return &Server{s: s}, nil
}

// InProcessConn implements nats.InProcessConnProvider.
func (s *Server) InProcessConn() (net.Conn, error) {
	c, err := s.s.InProcessConn()
	if err != nil {
		return nil, fmt.Errorf("embedded server: %w", err)
	}
	return c, nil
}

// URL is where clients beyond this process reach the server; "" where it does not listen.
func (s *Server) URL() string {
	if s.s.Addr() == nil {
		return ""
	}
	return s.s.ClientURL()
}

// Close stops the server and blocks until its files are closed.
func (s *Server) Close() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
}

// serverLog hands the server's log on and remembers the last error for those who ask why it did not start.
type serverLog struct {
	log func(ServerLevel, string)

	mu  sync.Mutex
	bad string
}

func (l *serverLog) line(level ServerLevel, format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if level == ServerError {
		l.mu.Lock()
		l.bad = text
		l.mu.Unlock()
	}
	if l.log != nil && !strings.HasPrefix(text, "  ") {
		l.log(level, text)
	}
}

func (l *serverLog) last() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bad == "" {
		return nil
	}
	return errors.New(l.bad)
}

func (l *serverLog) Noticef(format string, v ...any) { l.line(ServerNotice, format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.line(ServerWarning, format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.line(ServerError, format, v...) }
func (l *serverLog) Fatalf(format string, v ...any)  { l.line(ServerError, format, v...) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}
