package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/endpoint"
)

// errNotYet answers what needs the bus while that is being reached.
var errNotYet = errors.New("the daemon is not connected to the bus yet")

// Lanes implements console.Lanes: what this daemon is doing for each endpoint, and what waits on the bus for any.
func (d *daemon) Lanes(ctx context.Context) ([]api.Lane, error) {
	if d.isReady() != nil && d.ready.Load() != nil {
		return nil, errNotYet
	}
	waiting, err := d.bus.WaitingLanes(ctx)
	if err != nil {
		return nil, err
	}
	list := []api.Lane{}
	for _, l := range d.engine.Lanes() {
		one := api.Lane{
			Endpoint: l.Name, Concurrency: l.Concurrency, InFlight: l.InFlight, Queued: l.Queued, Paused: l.Paused,
			Waiting: waiting[bus.LaneToken(l.Lane, 0)],
		}
		if !l.PausedUntil.IsZero() {
			one.PausedUntil = &l.PausedUntil
		}
		list = append(list, one)
	}
	return list, nil
}

// Hold implements console.Lanes.
func (d *daemon) Hold(ctx context.Context, target string, pause bool, by string) (api.Lane, error) {
	if d.ready.Load() != nil {
		return api.Lane{}, errNotYet
	}
	lane, known := d.engine.LaneNamed(target)
	if !known {
		if !strings.Contains(target, "://") {
			target = "https://" + target
		}
		u, err := endpoint.ParseResolved(target, endpoint.Normalize)
		if err != nil {
			return api.Lane{}, fmt.Errorf("endpoint: %w", err)
		}
		lane = u.Lane
	}
	if err := d.engine.Hold(ctx, lane, pause, by); err != nil {
		return api.Lane{}, err
	}
	name := d.engine.LaneName(lane)
	d.log.Info("lane held or resumed", zap.String("lane", name), zap.Bool("paused", pause), zap.String("by", by))
	list, err := d.Lanes(ctx)
	if err != nil {
		return api.Lane{}, err
	}
	i := slices.IndexFunc(list, func(l api.Lane) bool { return l.Endpoint == name })
	if i < 0 {
		return api.Lane{Endpoint: name, Paused: pause}, nil
	}
	return list[i], nil
}
