package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"bellhop/config"
	"bellhop/dispatcher"
	"bellhop/dispatcher/telemetry"
)

// flushWithin bounds how long a stop waits for the last traces to be exported.
const flushWithin = 3 * time.Second

// openTracer starts the export of traces where a collector is named; close ends it.
func (d *daemon) openTracer(metrics *dispatcher.Metrics) (tracer *telemetry.Tracer, closeIt func(), err error) {
	t := d.settings.Telemetry
	if t.Endpoint == "" {
		return nil, func() {}, nil
	}
	headers, err := config.OTLPHeaders(t.Headers)
	if err != nil {
		return nil, nil, fmt.Errorf("telemetry.otlp_headers: %w", err)
	}
	log := d.log.Named("telemetry")
	tracer, err = telemetry.Open(telemetry.Options{
		Endpoint: t.Endpoint, Headers: headers, Service: t.ServiceName, Version: buildVersion(), Node: d.settings.Node, Ratio: t.SampleRatio,
		Count: func(result string, n int) { metrics.Spans.WithLabelValues(result).Add(float64(n)) }, Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	return tracer, func() {
		ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
		defer cancel()
		if err := tracer.Close(ctx); err != nil {
			log.Warn("the last traces are not exported", zap.Error(err))
		}
	}, nil
}
