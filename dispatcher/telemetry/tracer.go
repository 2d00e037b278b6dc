// Package telemetry makes spans of what the engine does and exports them by OTLP over HTTP. What it cannot export in time it drops:
// it never makes a delivery wait.
package telemetry

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"time"

	otelmodule "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	otel "go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"bellhop/dispatcher/trace"
)

// Spans are kept until they are exported, so many at most: what comes beyond is dropped.
const (
	queueSize   = 4096
	batchSize   = 512
	exportEvery = time.Second
)

// What becomes of spans.
const (
	Made     = "made"     // sampled, and given to the queue, which drops what it has no room for
	Exported = "exported" // taken by the collector
	Failed   = "failed"   // refused by the collector, or not delivered in time
)

// Results lists what can become of spans.
func Results() []string { return []string{Made, Exported, Failed} }

// Options configures a Tracer.
type Options struct {
	Endpoint string            // http or https; /v1/traces is appended where it is not there
	Headers  map[string]string // sent with each export; nil: none
	Service  string            // service.name
	Version  string            // service.version
	Node     string            // service.instance.id
	Ratio    float64           // of the traces that begin here, how many are sampled: 0 to 1
	Count    func(result string, n int)
	Log      *zap.Logger
}

// Tracer makes spans. Its methods are safe for concurrent use and never block.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   otel.Tracer
	upload   *uploader
}

// Open starts the export. Close pairs with it. It does not wait for the collector, which may come later.
func Open(o Options) (*Tracer, error) {
	up, err := newUploader(o)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptrace.New(context.Background(), up)
	if err != nil {
		return nil, fmt.Errorf("open the export of traces: %w", err)
	}
	provider := sdk.NewTracerProvider(
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node),
			attribute.String("telemetry.sdk.name", "opentelemetry"), attribute.String("telemetry.sdk.language", "go"),
			attribute.String("telemetry.sdk.version", otelmodule.Version()),
		)),
		// Whoever began a trace has decided whether it is sampled.
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(o.Ratio))),
		sdk.WithSpanProcessor(counting{o.Count}),
		sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(queueSize), sdk.WithMaxExportBatchSize(batchSize), sdk.WithBatchTimeout(exportEvery),
			sdk.WithExportTimeout(exportWithin)),
	)
	return &Tracer{provider: provider, tracer: provider.Tracer("bellhop", otel.WithInstrumentationVersion(o.Version)), upload: up}, nil
}

// Close exports what is queued, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	err := t.provider.Shutdown(ctx)
	t.upload.client.CloseIdleConnections()
	if err != nil {
		return fmt.Errorf("export the last traces: %w", err)
	}
	return nil
}

// counting counts spans that were made.
type counting struct{ count func(string, int) }

func (counting) OnStart(context.Context, sdk.ReadWriteSpan) {}
func (c counting) OnEnd(s sdk.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		c.count(Made, 1)
	}
}
func (counting) Shutdown(context.Context) error   { return nil }
func (counting) ForceFlush(context.Context) error { return nil }

// Span is one that is under way. The zero value is none, of which nothing is recorded.
type Span struct {
	span  otel.Span
	state string
}

// Context is what those who come after the span are to know of it; nil where there is no span.
func (s Span) Context() *trace.Context {
	if s.span == nil {
		return nil
	}
	c := s.span.SpanContext()
	id, parent := c.TraceID(), c.SpanID()
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, id[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, parent[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, []byte{byte(c.TraceFlags() & (otel.FlagsSampled | otel.FlagsRandom))})
	return &trace.Context{Parent: string(b), State: s.state}
}

// End ends a span.
func (s Span) End(at time.Time) {
	if s.span != nil {
		s.span.End(otel.WithTimestamp(at))
	}
}

// begin begins a span below a context, or a trace where that is nil.
func (t *Tracer) begin(c *trace.Context, name string, kind otel.SpanKind, at time.Time, attrs func() []attribute.KeyValue) Span {
	ctx, state := context.Background(), ""
	if c != nil {
		ctx, state = otel.ContextWithRemoteSpanContext(ctx, parent(c)), c.State
	}
	_, span := t.tracer.Start(ctx, name, otel.WithSpanKind(kind), otel.WithTimestamp(at))
	if span.IsRecording() {
		span.SetAttributes(attrs()...)
	}
	return Span{span, state}
}

// parent reads a context, which is valid.
func parent(c *trace.Context) otel.SpanContext {
	config := otel.SpanContextConfig{Remote: true}
	config.TraceID, _ = otel.TraceIDFromHex(c.Parent[3:35])
	config.SpanID, _ = otel.SpanIDFromHex(c.Parent[36:52])
	if flags, err := strconv.ParseUint(c.Parent[53:55], 16, 8); err == nil {
		config.TraceFlags = otel.TraceFlags(flags) & (otel.FlagsSampled | otel.FlagsRandom)
	}
	if c.State != "" {
		config.TraceState, _ = otel.ParseTraceState(c.State)
	}
	return otel.NewSpanContext(config)
}

// Event is an event that begins a trace.
type Event struct {
	ID, Type, Stream string
}

// Begin begins the trace of an event that brought none.
func (t *Tracer) Begin(e Event, at time.Time) Span {
	return t.begin(nil, "process "+e.Stream, otel.SpanKindConsumer, at, func() []attribute.KeyValue {
		return []attribute.KeyValue{
			attribute.String("messaging.system", "nats"), attribute.String("messaging.operation.type", "process"),
			attribute.String("messaging.operation.name", "process"), attribute.String("messaging.destination.name", e.Stream),
			attribute.String("cloudevents.event_id", e.ID), attribute.String("cloudevents.event_type", e.Type),
		}
	})
}

// Attempt is one POST.
type Attempt struct {
	Delivery, EventID, EventType string
	Rule, Webhook                string
	Endpoint                     string // as it may be shown, secrets by their names
	Run, Attempt                 int
}

// Attempt begins the span of an attempt, below what its delivery belongs to.
func (t *Tracer) Attempt(c *trace.Context, a Attempt, at time.Time) Span {
	return t.begin(c, "POST", otel.SpanKindClient, at, func() []attribute.KeyValue {
		attrs := make([]attribute.KeyValue, 0, 14)
		attrs = append(attrs,
			attribute.String("http.request.method", "POST"), attribute.String("url.full", a.Endpoint),
			attribute.String("cloudevents.event_id", a.EventID), attribute.String("cloudevents.event_type", a.EventType),
			attribute.String("bellhop.delivery_id", a.Delivery), attribute.String("bellhop.rule", a.Rule), attribute.String("bellhop.webhook", a.Webhook),
			attribute.Int("bellhop.run", a.Run), attribute.Int("bellhop.attempt", a.Attempt),
		)
		if a.Attempt > 1 {
			attrs = append(attrs, attribute.Int("http.request.resend_count", a.Attempt-1))
		}
		if u, err := url.Parse(a.Endpoint); err == nil && u.Host != "" {
			port := u.Port()
			if port == "" {
				port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
			}
			attrs = append(attrs, attribute.String("server.address", u.Hostname()))
			if n, err := strconv.Atoi(port); err == nil {
				attrs = append(attrs, attribute.Int("server.port", n))
			}
		}
		return attrs
	})
}

// Answered notes what came of an attempt: the response's status, 0 where none came, and the kind and message of its error, "" where
// it succeeded.
func (s Span) Answered(status int, kind, message string) {
	if s.span == nil || !s.span.IsRecording() {
		return
	}
	if status != 0 {
		s.span.SetAttributes(attribute.Int("http.response.status_code", status))
	}
	if kind == "" {
		return
	}
	if status != 0 && kind == "status" {
		kind = strconv.Itoa(status)
	}
	s.span.SetAttributes(attribute.String("error.type", kind))
	s.span.SetStatus(codes.Error, message)
}
