package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/config"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/event"
	"bellhop/store"
)

// deliverySource answers what is asked about deliveries. Whoever opened it must call close.
type deliverySource interface {
	list(ctx context.Context, f *api.Filter, limit int, cursor string) (api.DeliveryList, error)
	show(ctx context.Context, id string) (api.Delivery, error)
	pending(ctx context.Context, q console.PendingQuery) (api.PendingList, error)
	close() error
}

// openDeliveries asks the daemon where one runs; else, unless an address was given, the store and the bus are read. Where the
// server is embedded it runs for as long as that takes, in this process and for nobody else.
func (a *app) openDeliveries(ctx context.Context, d *dialFlags, s *config.Settings) (deliverySource, error) {
	c, err := d.client(s)
	if err != nil {
		return nil, err
	}
	if d.address != "" {
		return remoteDeliveries{c}, nil
	}
	if err = c.probe(ctx); err == nil {
		return remoteDeliveries{c}, nil
	}
	if !errors.Is(err, errNoDaemon) {
		return nil, err
	}
	// Its lock, shared, says that no daemon runs, and keeps one from starting meanwhile.
	db, openErr := store.Open(filepath.Join(s.DataDir, storeName), store.Options{ReadOnly: true})
	if openErr != nil {
		return nil, withHint(fmt.Errorf("%w at %s, and its store cannot be read: %w", errNoDaemon, c.where, openErr), "bellhop serve")
	}
	src := &storedDeliveries{db: db}
	if err := src.attach(ctx, a, s); err != nil {
		return nil, errors.Join(withHint(fmt.Errorf("%w at %s, and the bus, which holds the outcomes, cannot be read: %w", errNoDaemon, c.where, err),
			"bellhop serve"), src.close())
	}
	return src, nil
}

// remoteDeliveries asks a daemon.
type remoteDeliveries struct{ c *client }

func (r remoteDeliveries) close() error { return nil }

func (r remoteDeliveries) list(ctx context.Context, f *api.Filter, limit int, cursor string) (list api.DeliveryList, err error) {
	v := filterValues(f)
	v.Set("limit", strconv.Itoa(limit))
	if cursor != "" {
		v.Set("cursor", cursor)
	}
	err = r.c.get(ctx, api.DeliveriesPath+"?"+v.Encode(), &list)
	return list, err
}

func (r remoteDeliveries) show(ctx context.Context, id string) (one api.Delivery, err error) {
	err = r.c.get(ctx, api.DeliveriesPath+"/"+id, &one)
	return one, err
}

func (r remoteDeliveries) pending(ctx context.Context, q console.PendingQuery) (list api.PendingList, err error) {
	v := url.Values{"state": q.States, "rule": q.Rules, "endpoint": q.Endpoints, "type": q.Types, "limit": {strconv.Itoa(q.Limit)}}
	if q.After != "" {
		v.Set("cursor", q.After)
	}
	err = r.c.get(ctx, api.PendingPath+"?"+v.Encode(), &list)
	return list, err
}

// filterValues is a filter as a request's query.
func filterValues(f *api.Filter) url.Values {
	v := url.Values{}
	for name, list := range map[string][]string{
		"outcome": f.Outcome, "rule": f.Rule, "webhook": f.Webhook, "endpoint": f.Endpoint, "type": f.Type, "kind": f.Kind,
	} {
		for _, one := range list {
			v.Add(name, one)
		}
	}
	for name, one := range map[string]string{"from": f.From, "to": f.To, "q": f.Q} {
		if one != "" {
			v.Set(name, one)
		}
	}
	return v
}

// storedDeliveries reads the store and the bus of a daemon that does not run.
type storedDeliveries struct {
	db     *store.Store
	server *bus.Server
	bus    *bus.Bus
	desk   *desk
}

func (r *storedDeliveries) close() error {
	if r.bus != nil {
		r.bus.Close()
	}
	if r.server != nil {
		r.server.Close()
	}
	return r.db.Close()
}

// attach connects to the bus.
func (r *storedDeliveries) attach(ctx context.Context, a *app, s *config.Settings) (err error) {
	if s.NATS.URL == "" {
		if r.server, err = bus.StartServer(bus.ServerOptions{Dir: filepath.Join(s.DataDir, serverDir)}); err != nil {
			return err
		}
		r.bus, err = bus.Connect(ctx, bus.Options{Server: r.server, Name: "bellhop deliveries"})
	} else {
		r.bus, _, err = a.connect(ctx, s, "bellhop deliveries")
	}
	if err != nil {
		return err
	}
	if err := r.bus.Attach(ctx, topology(s)); err != nil {
		return err
	}
	created, err := r.bus.EventsCreated(ctx)
	if err != nil {
		created = time.Time{} // no events: their data cannot be shown
	}
	r.desk = &desk{
		db: r.db, bus: func() (*bus.Bus, error) { return r.bus, nil },
		decode: func(m *bus.Stored, eventType string) (*event.Event, error) {
			return event.Decode(event.Message{
				Stream: s.Events.Stream, Created: created, Seq: m.Seq, Time: m.Time, Subject: m.Subject, Type: eventType, Header: m.Header, Data: m.Data,
			}, int(s.Events.MaxBytes))
		},
	}
	return nil
}

func (r *storedDeliveries) list(ctx context.Context, f *api.Filter, limit int, cursor string) (api.DeliveryList, error) {
	q, err := console.QueryOf(f, time.Now())
	if err != nil {
		return api.DeliveryList{}, err
	}
	q.Limit = limit
	if cursor != "" {
		if q.Before, err = strconv.ParseUint(cursor, 10, 64); err != nil {
			return api.DeliveryList{}, fmt.Errorf("cursor %q: %w", cursor, err)
		}
	}
	list, next, err := r.desk.List(ctx, q)
	if next > 0 {
		list.Next = strconv.FormatUint(next, 10)
	}
	return list, err
}

func (r *storedDeliveries) show(ctx context.Context, id string) (api.Delivery, error) {
	return r.desk.Show(ctx, id)
}

func (r *storedDeliveries) pending(ctx context.Context, q console.PendingQuery) (api.PendingList, error) {
	return r.desk.Pending(ctx, q)
}
