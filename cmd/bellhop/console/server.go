// Package console serves the daemon's HTTP: health, metrics, the API and the page, on the console's address and on the Unix
// socket that the command line talks over. It reads and asks; it matches and delivers nothing.
package console

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
)

// Rules is what the console asks of the rules in force.
type Rules interface {
	InForce() api.RuleList
	Rule(name string) (api.Rule, bool)
	Versions() ([]api.Version, error)
	Version(ref string) (api.Version, error)
	Rollback(ref string) (api.Version, error)
	// Diff compares two versions; "" for to is the one in force, for from the one before it.
	Diff(from, to string) (api.Diff, error)
}

// Options configures a Server.
type Options struct {
	Listen  string // host:port; "" is no console
	Token   string // asked for on Listen; "" asks for a loopback Host instead
	Socket  string // the Unix socket's path, mode 0600
	Version string

	ReadToken    string   // allows reading
	WidgetToken  string   // allows reading counts
	EmbedOrigins []string // whose pages may frame the widget

	Ready  func() error // nil error: connected and consuming
	Counts Counts
	Rules  Rules
	Lanes  Lanes

	Deliveries Deliveries
	ByHand     ByHand
	Live       *Live
	Outcomes   func(ctx context.Context, seqs []uint64) ([]api.Outcome, error) // in the order of seqs
	About      About
	Events     Events

	Gatherer prometheus.Gatherer
	Log      *zap.Logger
}

// Limits of a request: nobody holds a connection for long, or sends much.
const (
	headerTime  = 5 * time.Second
	requestTime = 30 * time.Second
	idleTime    = 2 * time.Minute
	maxHeader   = 16 << 10
	maxBody     = 1 << 20
)

// Server is the console. Its listeners take requests from Open to Close.
type Server struct {
	o       Options
	servers []*http.Server
	url     string
	failed  chan error

	operations *operations
	life       context.Context // of what does not end by itself: ends with Close
	end        context.CancelFunc
	wg         sync.WaitGroup
}

// Open listens and serves. A socket that a dead daemon left is replaced; a live one is an error.
func Open(o Options) (*Server, error) {
	s := &Server{o: o, failed: make(chan error, 2), operations: newOperations()}
	s.life, s.end = context.WithCancel(context.Background())
	if s.o.Live == nil {
		s.o.Live = &Live{}
	}
	local := &access{local: true}
	socket, err := listenSocket(o.Socket)
	if err != nil {
		return nil, err
	}
	s.serve(socket, s.guard(s.routes(local), local))
	if o.Listen == "" {
		return s, nil
	}
	l, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the console cannot listen: set console.listen to a free address, or to \"\" for none: %w", err), s.Close())
	}
	s.url = "http://" + l.Addr().String()
	public := newAccess(&o)
	s.serve(l, s.guard(s.routes(public), public))
	return s, nil
}

func (s *Server) serve(l net.Listener, h http.Handler) {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, WriteTimeout: requestTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHeader, ErrorLog: zap.NewStdLog(s.o.Log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel))),
	}
	s.servers = append(s.servers, srv)
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("console at %s: %w", l.Addr(), err)
		}
	}()
}

// URL is where browsers reach the console; "" where there is none.
func (s *Server) URL() string { return s.url }

// Wait blocks until ctx ends or a listener fails.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// Close lets requests under way end, for a moment, and stops listening.
func (s *Server) Close() error {
	s.end()
	s.operations.close()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var errs []error
	for _, srv := range s.servers {
		if err := srv.Shutdown(ctx); err != nil {
			errs = append(errs, srv.Close())
		}
	}
	s.wg.Wait()
	return errors.Join(errs...)
}
