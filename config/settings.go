// Package config reads what operators write: the daemon's settings (defaults, file, environment, flags), rule files,
// and the secrets that rule files name; and it watches them for changes. It knows nothing of buses, stores or HTTP.
package config

import (
	"net/netip"
	"time"
)

// Settings is the daemon's whole configuration, valid. Relative paths are relative to the working directory.
type Settings struct {
	DataDir         string
	Rules           []string // rule files and folders
	Node            string   // "": the host's name, which the caller fills in
	NATS            NATS
	Events          Events
	Results         Results
	Retries         Retries
	SecretsDir      string
	ShutdownTimeout time.Duration
	Delivery        Delivery
	Console         Console
	Log             Log
	Telemetry       Telemetry
}

// NATS says which server to use, or how to run the embedded one.
type NATS struct {
	URL         string // nats://host:port, comma separated for several; "": an embedded server
	Listen      string // the embedded server's host:port; "": in process only
	Credentials string // a .creds file
	User        string
	Password    string
	Token       string
	NKey        string // a file holding an nkey seed
	TLS         TLS
	Replicas    int    // of the streams that Bellhop creates
	Sync        string // interval or always
}

// TLS names PEM files; all empty: the system's defaults.
type TLS struct{ CA, Cert, Key string }

// Events is the stream that events come from.
type Events struct {
	Stream, Prefix, Consumer string
	MaxBytes                 int64         // of one event
	Start                    string        // new or all
	MaxAge                   time.Duration // where Bellhop creates the stream; 0: no limit
}

// Results is the stream that outcomes go to.
type Results struct {
	Stream, Prefix string
	MaxAge         time.Duration // 0: no limit
	RequestBody    bool          // whether outcomes hold the request's body
	ResponseBody   bool
}

// Retries is the stream that next attempts wait in.
type Retries struct{ Stream string }

// Delivery says how webhooks are sent.
type Delivery struct {
	Workers       int // POSTs in flight
	PerEndpoint   int // of those, to one endpoint
	Timeout       time.Duration
	Retries       int // after the first attempt
	InitialDelay  time.Duration
	Multiplier    float64
	RetryOn       []string // timeout, network, a status (408) or a class (5xx), as validated
	Encoding      string   // normalize or literal
	AllowNetworks []netip.Prefix
	Proxy         string // URL; "": none
	Lanes         []Lane
}

// Lane is what one endpoint has of its own.
type Lane struct {
	Endpoint    string  // scheme://host:port, the port always there
	Concurrency int     // POSTs in flight; 0: Delivery.PerEndpoint
	Rate        float64 // POSTs a second; 0: no limit
	TLS         TLS     // CA: in place of the system's authorities
}

// Console is the HTTP server.
type Console struct {
	Listen string // host:port; "": none
	Token  string // "": none is asked for, on loopback only

	ReadToken    string   // may read; "": none
	WidgetToken  string   // may read counts; "": none
	EmbedOrigins []string // scheme://host[:port], whose pages may frame the widget
}

// Telemetry says where traces go.
type Telemetry struct {
	Endpoint    string  // of an OTLP collector over HTTP; "": traces are not exported
	Headers     string  // name=value, comma separated, values percent-encoded
	ServiceName string  // of the daemon, in traces
	SampleRatio float64 // of the traces that begin here, how many are exported: 0 to 1
}

// Log says what is logged and how.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, console, json
}
