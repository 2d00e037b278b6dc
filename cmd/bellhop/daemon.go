package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"bellhop/cmd/bellhop/console"
	"bellhop/config"
	"bellhop/dispatcher"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/telemetry"
	"bellhop/store"
)

// daemon wires the rooms together: one store, one bus, one engine, one console.
type daemon struct {
	settings     *config.Settings
	log          *zap.Logger
	hup          <-chan os.Signal // read the rules again
	defaultRules bool             // the rules' paths were set by nobody, and need not be there
	started      func(*daemon)    // called once it consumes; nil calls nothing

	server *bus.Server // nil: an external one
	db     *store.Store
	bus    *bus.Bus
	tls    map[string]endpoint.TLS // by lane; nil: none has its own
	client *endpoint.Client
	engine *dispatcher.Dispatcher
	link   *dispatcher.Link
	http   *console.Server
	tracer *telemetry.Tracer // nil: no traces are exported
	ready  atomic.Pointer[error]

	begun time.Time
	live  console.Live

	resets atomic.Uint64 // of the projection
}

// serverDir is where the embedded server keeps its files, in data_dir.
const serverDir = "nats"

// run runs the daemon until ctx ends and everything in flight is settled. What it opened it closes, in reverse.
func (d *daemon) run(ctx context.Context) (err error) {
	s := d.settings
	if s.Node == "" {
		if s.Node, err = os.Hostname(); err != nil {
			return withHint(fmt.Errorf("the host's name: %w", err), "--node NAME")
		}
	}
	d.begun = time.Now().UTC()
	d.notReady(errors.New("starting"))
	path := filepath.Join(s.DataDir, storeName)
	if d.db, err = store.Open(path, store.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.db.Close()) }()

	metrics := dispatcher.NewMetrics()
	registry := prometheus.NewRegistry()
	metrics.Register(registry)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newGauges(d))

	// The rules come first: broken ones are known before anything listens.
	var inForce dispatcher.InForce
	keeper := &ruleKeeper{
		settings: s, paths: s.Rules, optional: d.defaultRules, db: d.db, log: d.log, metrics: metrics,
		put: func(r dispatcher.InForce) { inForce = r },
	}
	if err := keeper.start(); err != nil {
		return err
	}

	desk := d.desk()
	d.http, err = console.Open(console.Options{
		Deliveries: desk, ByHand: desk, Outcomes: desk.outcomes, Live: &d.live, About: d, Events: &trier{desk: desk, keeper: keeper},
		Listen: s.Console.Listen, Token: s.Console.Token, Socket: filepath.Join(s.DataDir, socketName), Version: buildVersion(),
		ReadToken: s.Console.ReadToken, WidgetToken: s.Console.WidgetToken, EmbedOrigins: s.Console.EmbedOrigins,
		Ready: d.isReady, Counts: d.db, Rules: keeper, Lanes: d, Gatherer: registry, Log: d.log.Named("console"),
	})
	if err != nil {
		return err
	}
	// From here on the console answers, also while the bus is being reached.
	defer func() { err = errors.Join(err, d.http.Close()) }()

	if err := d.openBus(ctx); err != nil {
		return d.unlessStopped(ctx, err)
	}
	defer d.closeBus()
	var closeTracer func()
	if d.tracer, closeTracer, err = d.openTracer(metrics); err != nil {
		return err
	}
	defer closeTracer()
	if err := d.openEngine(ctx, metrics, inForce); err != nil {
		return d.unlessStopped(ctx, err)
	}
	defer d.client.Close()
	keeper.mu.Lock()
	d.engine.SetRules(inForce)
	keeper.put = d.engine.SetRules
	keeper.mu.Unlock()
	return d.consume(ctx, keeper)
}

// unlessStopped drops an error that is only the stop that was asked for.
func (d *daemon) unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// openBus starts the embedded server where no other is named, and connects.
func (d *daemon) openBus(ctx context.Context) error {
	s := d.settings
	o := bus.Options{
		URL: s.NATS.URL, Name: "bellhop " + s.Node, Credentials: s.NATS.Credentials, User: s.NATS.User, Password: s.NATS.Password,
		Token: s.NATS.Token, NKey: s.NATS.NKey, CA: s.NATS.TLS.CA, Cert: s.NATS.TLS.Cert, Key: s.NATS.TLS.Key,
		Persist: true, Log: busLogger(d.log),
	}
	if s.NATS.URL == "" {
		server, err := bus.StartServer(bus.ServerOptions{
			Dir: filepath.Join(s.DataDir, serverDir), Listen: s.NATS.Listen, Always: s.NATS.Sync == "always",
			User: s.NATS.User, Password: s.NATS.Password, Log: serverLogger(d.log),
		})
		if err != nil {
			return err
		}
		d.server, o.Server = server, server
		d.log.Info("embedded NATS server ready", zap.String("url", server.URL()))
	}
	d.notReady(errors.New("connecting to NATS"))
	b, err := bus.Connect(ctx, o)
	if err != nil {
		d.closeBus()
		return err
	}
	d.bus = b
	return nil
}

// closeBus closes the connection and the embedded server.
func (d *daemon) closeBus() {
	if d.bus != nil {
		d.bus.Close()
	}
	if d.server != nil {
		d.server.Close()
		d.server = nil
	}
}

// topology names the streams and consumers of a configuration.
func topology(s *config.Settings) bus.Topology {
	return bus.Topology{
		Events: bus.EventsTopology{
			Stream: s.Events.Stream, Prefix: s.Events.Prefix, Consumer: s.Events.Consumer, All: s.Events.Start == "all", MaxAge: s.Events.MaxAge,
		},
		Results: bus.ResultsTopology{Stream: s.Results.Stream, Prefix: s.Results.Prefix, MaxAge: s.Results.MaxAge},
		Retries: s.Retries.Stream, Replicas: s.NATS.Replicas,
	}
}

// openEngine sets up the streams and makes the engine that works on them.
func (d *daemon) openEngine(ctx context.Context, metrics *dispatcher.Metrics, rules dispatcher.InForce) error {
	s := d.settings
	link := &dispatcher.Link{Bus: d.bus, Topology: topology(s), Projection: projection{d.db, &d.resets, metrics.StoreErrs}, Log: d.log, Watch: d.watch}
	if err := link.Open(ctx); err != nil {
		return err
	}
	created, err := d.bus.EventsCreated(ctx)
	if err != nil {
		return err
	}
	policy, err := delivery.NewPolicy(s.Delivery.InitialDelay, s.Delivery.Multiplier, s.Delivery.RetryOn)
	if err != nil {
		return err
	}
	client := endpoint.ClientOptions{
		AllowNetworks: s.Delivery.AllowNetworks, Workers: s.Delivery.Workers, PerEndpoint: s.Delivery.PerEndpoint,
		Lanes: d.tls,
	}
	if s.Delivery.Proxy != "" {
		if client.Proxy, err = url.Parse(s.Delivery.Proxy); err != nil {
			return fmt.Errorf("delivery.proxy: %w", err)
		}
	}
	lanes := map[string]dispatcher.Limit{}
	for _, l := range s.Delivery.Lanes {
		lanes[l.Endpoint] = dispatcher.Limit{Concurrency: l.Concurrency, Rate: l.Rate}
		// As many connections stay open as are used at a time.
		client.PerEndpoint = max(client.PerEndpoint, l.Concurrency)
	}
	d.client = endpoint.NewClient(client)
	b := d.bus
	d.engine = dispatcher.New(dispatcher.Bus{
		Outcomes: b, Schedule: b, Waiting: b, Holds: b, ByHand: b, BusyLanes: b.BusyLanes,
		Events: func() (dispatcher.Source, error) { return b.Events() },
		Due:    func() (dispatcher.Source, error) { return b.Due() },
		Lane:   func(token string) (dispatcher.Source, error) { return b.Lane(token) },
	}, d.client, dispatcher.Options{
		Node: s.Node, UserAgent: "bellhop/" + buildVersion(), EventStream: s.Events.Stream, EventPrefix: s.Events.Prefix,
		EventCreated: created, MaxEvent: int(s.Events.MaxBytes), ResultPrefix: s.Results.Prefix,
		RequestBody: s.Results.RequestBody, ResponseBody: s.Results.ResponseBody,
		Workers: s.Delivery.Workers, PerEndpoint: s.Delivery.PerEndpoint, Lanes: lanes, Policy: policy,
		ShutdownTimeout: s.ShutdownTimeout, Log: d.log, Metrics: metrics, Tracer: d.tracer,
	})
	d.engine.SetRules(rules)
	link.Engine = d.engine
	d.link = link
	return nil
}

// consume runs until ctx ends: the engine stops first, then what it needs.
func (d *daemon) consume(ctx context.Context, keeper *ruleKeeper) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g, failing := errgroup.WithContext(background)
	working, cancel := context.WithCancel(ctx)
	defer cancel()
	// Whatever fails ends the rest.
	context.AfterFunc(failing, cancel)
	g.Go(func() error { return d.link.Run(background) })
	g.Go(func() error { return keeper.watch(background, d.hup) })
	g.Go(func() error { return d.mind(background) })
	g.Go(func() error { return d.http.Wait(background) })
	d.ready.Store(nil)
	// Whoever sends it work is to know at once that it takes no more.
	defer context.AfterFunc(ctx, func() { d.notReady(errors.New("stopping")) })()
	d.log.Info("bellhop is running", zap.String("version", buildVersion()), zap.String("node", d.settings.Node),
		zap.String("nats", d.natsURL()), zap.String("console", d.http.URL()), zap.Bool("schedules", d.bus.Schedules()))
	if d.started != nil {
		d.started(d)
	}
	err := d.engine.Run(working)
	stop()
	return errors.Join(err, g.Wait())
}

// natsURL is where the bus is, for people.
func (d *daemon) natsURL() string {
	if d.server == nil {
		return d.bus.Address()
	}
	if u := d.server.URL(); u != "" {
		return u
	}
	return "in process"
}

func (d *daemon) notReady(why error) { d.ready.Store(&why) }

// isReady says why the daemon is not consuming; nil when it is.
func (d *daemon) isReady() error {
	if why := d.ready.Load(); why != nil {
		return *why
	}
	return d.engine.Ready()
}
