// Package delivery holds what becomes of one webhook for one event: its id, its attempts, its retry schedule and its
// outcomes, in the shapes that other programs read. It performs no I/O.
package delivery

// Outcome is what became of one attempt.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered"
	Retrying  Outcome = "retrying"
	Failed    Outcome = "failed"
	Rejected  Outcome = "rejected"
)

// Final tells whether the delivery ends with this outcome.
func (o Outcome) Final() bool { return o != Retrying }

// Kind classifies an error.
type Kind string

// The kinds of errors.
const (
	KindTimeout   Kind = "timeout"
	KindNetwork   Kind = "network"
	KindTLS       Kind = "tls"
	KindStatus    Kind = "status"
	KindBlocked   Kind = "blocked"
	KindRender    Kind = "render"
	KindEvent     Kind = "event"
	KindCancelled Kind = "cancelled"
)

// Kinds lists them all.
func Kinds() []Kind {
	return []Kind{KindTimeout, KindNetwork, KindTLS, KindStatus, KindBlocked, KindRender, KindEvent, KindCancelled}
}

// Posted tells whether an attempt that ended with this kind was a call: blocked, cancelled and render POST nothing.
func (k Kind) Posted() bool {
	return k != KindBlocked && k != KindCancelled && k != KindRender && k != KindEvent
}

// Error is why an attempt failed, in words that hold no secret.
type Error struct {
	Kind    Kind   `json:"kind"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return string(e.Kind) + ": " + e.Message }

// Body is a request's or response's body as text.
type Body struct {
	Body      string `json:"body"`
	Truncated *bool  `json:"truncated,omitempty"`
}

// Record is the data of one attempt's outcome.
type Record struct {
	DeliveryID    string  `json:"delivery_id"`
	EventID       string  `json:"event_id"`
	EventType     string  `json:"event_type"`
	EventSeq      uint64  `json:"event_seq"`
	Rule          string  `json:"rule"`
	Webhook       string  `json:"webhook"`
	RulesVersion  string  `json:"rules_version"`
	Endpoint      string  `json:"endpoint"`
	Run           int     `json:"run"`
	Attempt       int     `json:"attempt"`
	MaxAttempts   int     `json:"max_attempts"`
	StartedAt     Stamp   `json:"started_at"`
	DurationMS    float64 `json:"duration_ms"`
	Status        int     `json:"status,omitempty"`
	Error         *Error  `json:"error,omitempty"`
	NextAttemptAt *Stamp  `json:"next_attempt_at,omitempty"`
	Response      *Body   `json:"response,omitempty"`
	Request       *Body   `json:"request,omitempty"`

	UserID string `json:"-"` // the id of the event's user, for the message's header alone
}
