// Package api holds the shapes that the daemon's HTTP API speaks, for its server and its clients alike. It performs no I/O.
package api

import "time"

// The API's paths.
const (
	RulesPath    = "/api/v1/rules"          // GET: RuleList; GET RulesPath/{name}: Rule with its Source
	VersionsPath = "/api/v1/versions"       // GET: VersionList; GET VersionsPath/{ref}: Version with its Files
	RollbackPath = "/api/v1/rules/rollback" // POST Rollback: Version
	LanesPath    = "/api/v1/lanes"          // GET: LaneList
	PausePath    = "/api/v1/lanes/pause"    // POST LaneRef: Lane
	ResumePath   = "/api/v1/lanes/resume"   // POST LaneRef: Lane

	StatsPath       = "/api/v1/stats"             // GET: counts of the whole cluster
	SeriesPath      = "/api/v1/series"            // GET: Series
	BreakdownPath   = "/api/v1/breakdown"         // GET: Breakdown
	LatencyPath     = "/api/v1/latency"           // GET: Latency
	DeliveriesPath  = "/api/v1/deliveries"        // GET: DeliveryList; GET DeliveriesPath/{id}: Delivery; POST .../retry, .../cancel
	StreamPath      = "/api/v1/deliveries/stream" // GET: server-sent events
	PendingPath     = "/api/v1/pending"           // GET: PendingList
	OperationsPath  = "/api/v1/operations"        // GET: OperationList; POST OperationRequest: OperationCount or Operation
	DiffPath        = "/api/v1/versions/diff"     // GET: Diff
	TryPath         = "/api/v1/try"               // POST TryRequest: TryResult
	EventsPath      = "/api/v1/events"            // GET: EventList; GET EventsPath/{seq}: Event
	EventTypesPath  = "/api/v1/event-types"       // GET: EventTypes
	StatusPath      = "/api/v1/status"            // GET: Status
	DaemonsPath     = "/api/v1/daemons"           // GET: DaemonList
	RebuildPath     = "/api/v1/rebuild"           // POST: Projection
	SessionPath     = "/api/v1/session"           // GET, POST, DELETE: Session
	DescriptionPath = "/api/v1/openapi.yaml"      // GET: what describes all of these
)

// WriteHeader must be on every request that changes something, with the value 1: no form on a foreign page can set it.
const WriteHeader = "X-Bellhop"

// ProblemType is the media type of an error's body (RFC 9457).
const ProblemType = "application/problem+json"

// Problem is an error's body (RFC 9457, section 3.1).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Next   string `json:"next,omitempty"` // what to try
}

// RuleList is the answer of GET RulesPath.
type RuleList struct {
	Version  *Version  `json:"version"` // nil where nothing is in force yet
	Rules    []Rule    `json:"rules"`
	Problems []Finding `json:"problems"` // of the files as they are now, which may be worse than what is in force
}

// Rule is one rule in force.
type Rule struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	On          []string  `json:"on"`
	Enabled     bool      `json:"enabled"`
	File        string    `json:"file"`
	Line        int       `json:"line"`
	Webhooks    []Webhook `json:"webhooks"`
	Source      string    `json:"source,omitempty"` // its YAML, only where one rule was asked for
}

// Webhook is one webhook of a rule. It never holds a resolved secret.
type Webhook struct {
	Name       string      `json:"name"`
	Endpoint   string      `json:"endpoint"` // encoded for the wire, secrets as ${NAME}
	Parameters []Parameter `json:"parameters"`
	Timeout    string      `json:"timeout"` // a Go duration: 10s
	Retries    int         `json:"retries"`
	Signed     bool        `json:"signed"`
}

// Parameter is one parameter as written, variables and all.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Finding is one problem found in rule files.
type Finding struct {
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Severity string `json:"severity"` // error or warning
	Path     string `json:"path"`     // rules[0].webhooks[1].endpoint; "" for the file as a whole
	Text     string `json:"text"`
}

// VersionList is the answer of GET VersionsPath, newest first.
type VersionList struct {
	Items []Version `json:"items"`
}

// Version is one accepted rule set.
type Version struct {
	Number   uint64    `json:"number"`
	Digest   string    `json:"digest"` // what outcomes name as rules_version
	At       time.Time `json:"at"`     // when it came into force
	Origin   string    `json:"origin"` // files or rollback
	Of       uint64    `json:"of,omitempty"`
	Current  bool      `json:"current"`
	Rules    int       `json:"rules"`
	Webhooks int       `json:"webhooks"`
	Files    []File    `json:"files,omitempty"` // only where one version was asked for
}

// File is one rule file of a version.
type File struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Rollback is the body of POST RollbackPath.
type Rollback struct {
	Version string `json:"version"` // a number, or the beginning of a digest
}
