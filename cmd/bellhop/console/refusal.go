package console

import "net/http"

// Refusal is an error that is the answer to a request: what is asked for cannot be done, and why.
type Refusal struct {
	Status int
	Err    error
	Next   string // what to try; "" nothing
}

// Error implements error.
func (e *Refusal) Error() string { return e.Err.Error() }

// Unwrap gives what it wraps.
func (e *Refusal) Unwrap() error { return e.Err }

// NotFound refuses what is not there.
func NotFound(err error) error { return &Refusal{Status: http.StatusNotFound, Err: err} }

// Conflict refuses what cannot be done as things stand.
func Conflict(err error) error { return &Refusal{Status: http.StatusConflict, Err: err} }

// Unavailable refuses what may be possible in a moment.
func Unavailable(err error) error { return &Refusal{Status: http.StatusServiceUnavailable, Err: err} }
