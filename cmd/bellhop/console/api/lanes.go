package api

import "time"

// LaneList is the answer of GET LanesPath, by endpoint.
type LaneList struct {
	Items []Lane `json:"items"`
}

// Lane is what one endpoint is doing.
type Lane struct {
	Endpoint    string     `json:"endpoint"`    // scheme://host:port
	Concurrency int        `json:"concurrency"` // POSTs in flight at most, in this daemon
	InFlight    int        `json:"in_flight"`   // in this daemon
	Queued      int        `json:"queued"`      // in this daemon
	Waiting     uint64     `json:"waiting"`     // on the bus, for any daemon
	Paused      bool       `json:"paused"`      // by an operator, on every daemon
	PausedUntil *time.Time `json:"paused_until,omitempty"`
}

// LaneRef names an endpoint: its URL, of which scheme, host and port count.
type LaneRef struct {
	Endpoint string `json:"endpoint"`
}
