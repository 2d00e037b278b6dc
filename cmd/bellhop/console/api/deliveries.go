package api

import (
	"encoding/json"
	"time"

	"bellhop/dispatcher/delivery"
)

// Error is why an attempt failed.
type Error struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// Body is a request's or response's body as text.
type Body struct {
	Body      string `json:"body"`
	Truncated *bool  `json:"truncated,omitempty"`
}

// Outcome is the data of one outcome with its name and its place in the stream.
type Outcome struct {
	Outcome string         `json:"outcome"`
	Seq     uint64         `json:"seq"`
	At      delivery.Stamp `json:"at"` // when the stream stored it
	Node    string         `json:"node,omitempty"`

	DeliveryID    string          `json:"delivery_id,omitempty"`
	EventID       string          `json:"event_id,omitempty"`
	EventType     string          `json:"event_type,omitempty"`
	EventSeq      uint64          `json:"event_seq,omitempty"`
	Rule          string          `json:"rule,omitempty"`
	Webhook       string          `json:"webhook,omitempty"`
	RulesVersion  string          `json:"rules_version,omitempty"`
	Endpoint      string          `json:"endpoint,omitempty"`
	Run           int             `json:"run,omitempty"`
	Attempt       int             `json:"attempt,omitempty"`
	MaxAttempts   int             `json:"max_attempts,omitempty"`
	StartedAt     *delivery.Stamp `json:"started_at,omitempty"`
	DurationMS    *float64        `json:"duration_ms,omitempty"`
	Status        int             `json:"status,omitempty"`
	Error         *Error          `json:"error,omitempty"`
	NextAttemptAt *delivery.Stamp `json:"next_attempt_at,omitempty"`
	Response      *Body           `json:"response,omitempty"`
	Request       *Body           `json:"request,omitempty"`

	// Of a rejected event.
	Stream  string `json:"stream,omitempty"`
	Subject string `json:"subject,omitempty"`
	Size    int    `json:"size,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
}

// DeliveryList is the answer of GET DeliveriesPath.
type DeliveryList struct {
	Items      []Outcome  `json:"items"`
	Next       string     `json:"next"`
	SearchedTo *time.Time `json:"searched_to,omitempty"`
}

// Delivery is one delivery to its end.
type Delivery struct {
	DeliveryID string    `json:"delivery_id"`
	Outcomes   []Outcome `json:"outcomes"` // oldest first
	Pending    *Pending  `json:"pending,omitempty"`
	Event      *Event    `json:"event,omitempty"`
	CanRetry   bool      `json:"can_retry"`
	CanCancel  bool      `json:"can_cancel"`
}

// Retried is the answer of POST DeliveriesPath/{id}/retry.
type Retried struct {
	DeliveryID string `json:"delivery_id"`
	Run        int    `json:"run"`
}

// Pending is an attempt to come.
type Pending struct {
	DeliveryID  string     `json:"delivery_id"`
	State       string     `json:"state"` // scheduled, due or waiting
	Due         *time.Time `json:"due,omitempty"`
	EventID     string     `json:"event_id"`
	EventType   string     `json:"event_type"`
	EventSeq    uint64     `json:"event_seq"`
	Rule        string     `json:"rule"`
	Webhook     string     `json:"webhook"`
	Endpoint    string     `json:"endpoint"`
	Run         int        `json:"run"`
	Attempt     int        `json:"attempt"`
	MaxAttempts int        `json:"max_attempts"`
	Error       *Error     `json:"error,omitempty"`
	Since       *time.Time `json:"since,omitempty"`
}

// PendingList is the answer of GET PendingPath.
type PendingList struct {
	Items    []Pending  `json:"items"`
	Next     string     `json:"next"`
	Total    int        `json:"total"`
	Complete bool       `json:"complete"`
	Due      []DueCount `json:"due"`
}

// DueCount is how many attempts fall due within a time.
type DueCount struct {
	Within string `json:"within"` // 1m, 5m, 1h, 6h, 24h, later, room
	Count  int    `json:"count"`
}

// Filter says which deliveries are meant.
type Filter struct {
	Outcome  []string `json:"outcome,omitempty"`
	Rule     []string `json:"rule,omitempty"`
	Webhook  []string `json:"webhook,omitempty"`
	Endpoint []string `json:"endpoint,omitempty"`
	Type     []string `json:"type,omitempty"`
	Kind     []string `json:"kind,omitempty"`
	From     string   `json:"from,omitempty"` // RFC 3339, or a duration back from now
	To       string   `json:"to,omitempty"`
	Q        string   `json:"q,omitempty"`     // the id of a delivery, an event or a user
	State    []string `json:"state,omitempty"` // scheduled, due or waiting: of attempts to come alone
}

// OperationRequest is the body of POST OperationsPath.
type OperationRequest struct {
	Action  string   `json:"action"` // retry or cancel
	Filter  *Filter  `json:"filter,omitempty"`
	IDs     []string `json:"ids,omitempty"`
	Until   uint64   `json:"until,omitempty"`
	Confirm bool     `json:"confirm,omitempty"`
}

// OperationCount is its answer where it was not confirmed.
type OperationCount struct {
	Action string `json:"action"`
	Count  int    `json:"count"`
	Until  uint64 `json:"until"`
}

// Operation is a bulk operation.
type Operation struct {
	ID      string     `json:"id"`
	Action  string     `json:"action"`
	State   string     `json:"state"` // running, done or stopped
	By      string     `json:"by,omitempty"`
	Total   int        `json:"total"`
	Done    int        `json:"done"`
	Skipped int        `json:"skipped"`
	Failed  int        `json:"failed"`
	Errors  []string   `json:"errors,omitempty"`
	Started time.Time  `json:"started"`
	Ended   *time.Time `json:"ended,omitempty"`
}

// OperationList is the answer of GET OperationsPath.
type OperationList struct {
	Items []Operation `json:"items"`
}

// Event is one event of the stream.
type Event struct {
	Seq    uint64          `json:"seq"`
	Type   string          `json:"type"`
	ID     string          `json:"id"`
	Source string          `json:"source,omitempty"`
	Time   *time.Time      `json:"time,omitempty"`
	At     time.Time       `json:"at"`
	Size   int             `json:"size,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Error  string          `json:"error,omitempty"`
}

// EventList is the answer of GET EventsPath.
type EventList struct {
	Items []Event `json:"items"`
}

// EventTypes is the answer of GET EventTypesPath.
type EventTypes struct {
	Items []string `json:"items"`
}
