package config

// Key describes one key of the configuration, for documentation, completion and flags.
type Key struct {
	Path    string // nats.url
	Type    string // text, integer, number, boolean, duration, size, address, url, list, lanes, or the choices: new|all
	Default string // as one would write it
	Doc     string // one line
	Secret  bool   // the value is masked wherever it is shown
}

// setting is a key with what reads its value into the settings. Errors say what is wrong, not where.
type setting struct {
	Key
	schema schema // of its value in a file
	set    func(*Settings, raw) error
	get    func(*Settings) any // for people: fit for JSON, unmasked
	std    string              // the variable that OpenTelemetry gives the same meaning; "": none
}

// Keys lists every key in documentation order.
func Keys() []Key {
	keys := make([]Key, len(table))
	for i, s := range table {
		keys[i] = s.Key
	}
	return keys
}

// table is the one place where a key is defined.
var table = []setting{
	text("data_dir", "./data", "folder of bellhop.db and, embedded, of the server's files",
		func(s *Settings) *string { return &s.DataDir }, required).like(`[^ ]`),
	list("rules", "./rules", "rule files and folders", func(s *Settings) *[]string { return &s.Rules }, required).items(with(scalar(), schema{"pattern": `[^ ]`})),
	text("node", "", "this daemon's name in outcomes; empty: the host's name", func(s *Settings) *string { return &s.Node }, daemonName).shaped(schema{"pattern": `^[^ \t\r\n]*$`, "maxLength": 255}),

	text("nats.url", "", "NATS server, comma separated for several; empty: an embedded JetStream server",
		func(s *Settings) *string { return &s.NATS.URL }, natsURLs).as("url"),
	text("nats.listen", "127.0.0.1:4222", "the embedded server's address; empty: in process only",
		func(s *Settings) *string { return &s.NATS.Listen }, address).as("address").shaped(schema{"type": "string", "pattern": hostPort}),
	text("nats.credentials", "", "a .creds file", func(s *Settings) *string { return &s.NATS.Credentials }),
	text("nats.user", "", "user; the embedded server asks for it too", func(s *Settings) *string { return &s.NATS.User }),
	text("nats.password", "", "the user's password", func(s *Settings) *string { return &s.NATS.Password }).secret(),
	text("nats.token", "", "authentication token", func(s *Settings) *string { return &s.NATS.Token }).secret(),
	text("nats.nkey", "", "a file holding an nkey seed", func(s *Settings) *string { return &s.NATS.NKey }, seedFile),
	text("nats.tls.ca", "", "PEM file of the authorities to trust", func(s *Settings) *string { return &s.NATS.TLS.CA }),
	text("nats.tls.cert", "", "PEM file of the client's certificate", func(s *Settings) *string { return &s.NATS.TLS.Cert }),
	text("nats.tls.key", "", "PEM file of the client's key", func(s *Settings) *string { return &s.NATS.TLS.Key }),
	integer("nats.replicas", "1", "copies of each stream that Bellhop creates", 1, 5, func(s *Settings) *int { return &s.NATS.Replicas }),
	choice("nats.sync", "embedded server: always has each write on disk before it is confirmed",
		func(s *Settings) *string { return &s.NATS.Sync }, "interval", "always"),

	text("events.stream", "EVENTS", "stream that events come from", func(s *Settings) *string { return &s.Events.Stream }, streamName).like(nameOfStream),
	text("events.prefix", "events", "what stands before the event type in subjects",
		func(s *Settings) *string { return &s.Events.Prefix }, subjectPrefix).like(tokens),
	text("events.consumer", "bellhop", "durable consumer that all daemons share",
		func(s *Settings) *string { return &s.Events.Consumer }, streamName).like(nameOfStream),
	size("events.max_bytes", "1MiB", "the largest event that is read", 1, 8<<20, func(s *Settings) *int64 { return &s.Events.MaxBytes }),
	choice("events.start", "where a new consumer begins in an existing stream",
		func(s *Settings) *string { return &s.Events.Start }, "new", "all"),
	duration("events.max_age", "168h", "how long events are kept, where Bellhop creates the stream; 0: for ever", 0,
		func(s *Settings) *dur { return &s.Events.MaxAge }),

	text("results.stream", "WEBHOOKS", "stream that outcomes go to", func(s *Settings) *string { return &s.Results.Stream }, streamName).like(nameOfStream),
	text("results.prefix", "webhooks", "what stands before the outcome in subjects",
		func(s *Settings) *string { return &s.Results.Prefix }, subjectPrefix).like(tokens),
	duration("results.max_age", "168h", "how long outcomes are kept; 0: for ever", 0,
		func(s *Settings) *dur { return &s.Results.MaxAge }),
	truth("results.request_body", "true", "whether failed outcomes hold the request's body",
		func(s *Settings) *bool { return &s.Results.RequestBody }),
	truth("results.response_body", "true", "whether outcomes hold the response's body",
		func(s *Settings) *bool { return &s.Results.ResponseBody }),

	text("retries.stream", "WEBHOOK_RETRIES", "internal stream that next attempts wait in",
		func(s *Settings) *string { return &s.Retries.Stream }, streamName).like(nameOfStream),

	text("secrets_dir", "/run/secrets", "folder that ${file:name} in rule files reads from",
		func(s *Settings) *string { return &s.SecretsDir }),
	duration("shutdown_timeout", "30s", "how long a stop may take to settle what is in flight", 1,
		func(s *Settings) *dur { return &s.ShutdownTimeout }),

	integer("delivery.workers", "256", "POSTs in flight, per daemon", 1, 65536, func(s *Settings) *int { return &s.Delivery.Workers }),
	integer("delivery.per_endpoint", "64", "of those, to one endpoint", 1, 65536,
		func(s *Settings) *int { return &s.Delivery.PerEndpoint }),
	duration("delivery.timeout", "10s", "from an attempt's start to the response's headers", 1,
		func(s *Settings) *dur { return &s.Delivery.Timeout }),
	integer("delivery.retries", "10", "attempts after the first", 0, 20, func(s *Settings) *int { return &s.Delivery.Retries }),
	duration("delivery.initial_delay", "5s", "before the first retry", 1, func(s *Settings) *dur { return &s.Delivery.InitialDelay }),
	number("delivery.multiplier", "2", "each delay is the last times this", 1, 100,
		func(s *Settings) *float64 { return &s.Delivery.Multiplier }),
	list("delivery.retry_on", "timeout,network,408,425,429,5xx", "failures after which another attempt follows",
		func(s *Settings) *[]string { return &s.Delivery.RetryOn }, retryOn).items(retrySchema()),
	choice("delivery.encoding", "how endpoints are encoded: literal takes every % for a percent sign",
		func(s *Settings) *string { return &s.Delivery.Encoding }, "normalize", "literal"),
	networks("delivery.allow_networks", "networks that may be called though they are not globally routable"),
	text("delivery.proxy", "", "proxy for webhooks; empty: none, whatever the environment says",
		func(s *Settings) *string { return &s.Delivery.Proxy }, proxyURL).as("url"),
	lanes("delivery.lanes", "what single endpoints have of their own: [{endpoint, concurrency, rate, tls: {ca, cert, key}}]"),

	text("console.listen", "127.0.0.1:8420", "the console's address; empty: no console",
		func(s *Settings) *string { return &s.Console.Listen }, address).as("address").shaped(schema{"type": "string", "pattern": hostPort}),
	text("console.token", "", "asked for by the console; required unless it listens on loopback",
		func(s *Settings) *string { return &s.Console.Token }).secret(),
	text("console.read_token", "", "a second token, which may read and change nothing",
		func(s *Settings) *string { return &s.Console.ReadToken }).secret(),
	text("console.widget_token", "", "a third token, which may read counts alone, for the widget and the badge",
		func(s *Settings) *string { return &s.Console.WidgetToken }).secret(),
	list("console.embed_origins", "", "origins whose pages may frame the widget: https://portal.example.com",
		func(s *Settings) *[]string { return &s.Console.EmbedOrigins }, origins),

	text("telemetry.otlp_endpoint", "", "OTLP collector that traces go to over HTTP, as http://127.0.0.1:4318; empty: none are exported",
		func(s *Settings) *string { return &s.Telemetry.Endpoint }, otlpURL).as("url").standard("OTEL_EXPORTER_OTLP_ENDPOINT"),
	text("telemetry.otlp_headers", "", "headers for the collector: name=value, comma separated, values percent-encoded",
		func(s *Settings) *string { return &s.Telemetry.Headers }, otlpHeaders).secret().standard("OTEL_EXPORTER_OTLP_HEADERS"),
	text("telemetry.service_name", "bellhop", "what the daemon is called in traces", func(s *Settings) *string { return &s.Telemetry.ServiceName },
		required).like(`[^ ]`).standard("OTEL_SERVICE_NAME"),
	number("telemetry.sample_ratio", "1", "of the traces that begin here, how many are exported", 0, 1,
		func(s *Settings) *float64 { return &s.Telemetry.SampleRatio }).shaped(with(of("number", "string"), schema{"minimum": 0, "maximum": 1, "pattern": upToOne})),

	choice("log.level", "least level that is logged", func(s *Settings) *string { return &s.Log.Level }, "info", "debug", "warn", "error"),
	choice("log.format", "auto: console on a terminal, else JSON", func(s *Settings) *string { return &s.Log.Format },
		"auto", "console", "json"),
}

// Patterns of keys' values, as their checks let them through.
const (
	hostPort     = `^$|^(\[[^\]/@ ]*\]|[^:/@ ]*):[0-9]{1,5}$`
	nameOfStream = `^[^.*>/\\ \t]{1,255}$`
	upToOne      = `^[+]?(0+(\.[0-9]*)?|\.[0-9]+|0*1(\.0*)?)$`
	tokens       = `^[^$.*> \t][^.*> \t]*(\.[^.*> \t]+)*$`
)

// retrySchema is the schema of one failure after which another attempt follows.
func retrySchema() schema {
	return either(with(of("integer"), schema{"minimum": 300, "maximum": 599}),
		with(of("string"), schema{"pattern": `^(timeout|network|[45]xx|[345][0-9][0-9])$`}))
}

// paths lists the keys' paths.
var paths = func() []string {
	out := make([]string, len(table))
	for i, s := range table {
		out[i] = s.Path
	}
	return out
}()

// find returns the key's setting, nil where there is none.
func find(path string) *setting {
	for i := range table {
		if table[i].Path == path {
			return &table[i]
		}
	}
	return nil
}
