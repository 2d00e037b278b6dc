package api

import "time"

// Counts is how many outcomes of each sort there were.
type Counts struct {
	Calls     uint64 `json:"calls"`  // attempts that POSTed
	Errors    uint64 `json:"errors"` // retrying and failed
	Delivered uint64 `json:"delivered"`
	Retrying  uint64 `json:"retrying"`
	Failed    uint64 `json:"failed"`
	Rejected  uint64 `json:"rejected"`
}

// Add adds another's counts.
func (c *Counts) Add(o Counts) {
	c.Calls += o.Calls
	c.Errors += o.Errors
	c.Delivered += o.Delivered
	c.Retrying += o.Retrying
	c.Failed += o.Failed
	c.Rejected += o.Rejected
}

// Series is the answer of GET SeriesPath.
type Series struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Step   string    `json:"step"` // minute, hour or day
	Points []Point   `json:"points"`
	Sum    Counts    `json:"sum"`
}

// Point is the counts of one period.
type Point struct {
	At time.Time `json:"at"` // its beginning
	Counts
}

// Breakdown is the answer of GET BreakdownPath.
type Breakdown struct {
	By    string    `json:"by"`
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Items []Share   `json:"items"`
}

// Share is the counts of one value.
type Share struct {
	Value string `json:"value"`
	Counts
	P50 *float64 `json:"p50_ms,omitempty"`
	P95 *float64 `json:"p95_ms,omitempty"`
}

// Latency is the answer of GET LatencyPath.
type Latency struct {
	From        time.Time     `json:"from"`
	To          time.Time     `json:"to"`
	Count       uint64        `json:"count"`
	Percentiles Percentiles   `json:"percentiles"`
	Buckets     []LatencyStep `json:"buckets"`
}

// Percentiles are in milliseconds; nil where nothing was timed.
type Percentiles struct {
	P50 *float64 `json:"p50,omitempty"`
	P90 *float64 `json:"p90,omitempty"`
	P95 *float64 `json:"p95,omitempty"`
	P99 *float64 `json:"p99,omitempty"`
}

// LatencyStep is one bucket of a histogram.
type LatencyStep struct {
	LE    float64 `json:"le_ms"`
	Count uint64  `json:"count"`
}

// Session is the answer of SessionPath.
type Session struct {
	Role          string     `json:"role"` // operator, reader, widget or none
	CanWrite      bool       `json:"can_write"`
	TokenRequired bool       `json:"token_required"`
	Expires       *time.Time `json:"expires,omitempty"`
}
