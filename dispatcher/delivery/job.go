package delivery

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"bellhop/dispatcher/trace"
)

// Job is one attempt that waits on the bus: for its time to come, or for room in its lane. It carries all that the
// attempt needs but what the rules in force say (endpoint, headers, secrets), so no resolved secret is on the bus.
type Job struct {
	ID           string    `json:"id"`
	EventID      string    `json:"event_id"`
	EventType    string    `json:"event_type"`
	EventSeq     uint64    `json:"event_seq"`
	Rule         string    `json:"rule"`
	Webhook      string    `json:"webhook"`
	RulesVersion string    `json:"rules_version"`
	RulesSince   time.Time `json:"rules_since"` // when the rules that made or last sent it came into force
	Endpoint     string    `json:"endpoint"`    // for people, as of the last attempt
	MaxAttempts  int       `json:"max_attempts"`
	Run          int       `json:"run"`
	Attempt      int       `json:"attempt"` // the attempt to make, from 1
	Due          time.Time `json:"due"`     // never earlier than this; the zero time is at once
	Cause        *Error    `json:"cause,omitempty"`
	// Previous is the message of the outcome before this attempt. It is published with the attempt's schedule so that a
	// crash between the two can be mended.
	Previous json.RawMessage `json:"previous,omitempty"`

	UserID string `json:"user_id,omitempty"` // the id of the event's user; "" where it names none

	Trace *trace.Context `json:"trace,omitempty"` // what the delivery belongs to; nil: no trace

	Body []byte `json:"-"` // the form, as first rendered
}

// Before tells whether j is an earlier attempt of the delivery than o, or one of an earlier run.
func (j *Job) Before(o *Job) bool { return j.Run < o.Run || (j.Run == o.Run && j.Attempt < o.Attempt) }

// jobHead frames a job: its JSON, one line feed, then the body.
type jobHead struct {
	Version int `json:"v"`
	*Job
	Gzip bool `json:"gzip,omitempty"`
}

const (
	jobVersion = 1
	// compressFrom is the body size from which a job's body is compressed: forms in other alphabets than ASCII are three
	// times their text, and a message must fit the server's max_payload.
	compressFrom = 32 << 10
	// maxJobBody bounds what a compressed body may unpack to.
	maxJobBody = 16 << 20
)

// EncodeJob makes the job's message.
func EncodeJob(j *Job) ([]byte, error) {
	head := jobHead{Version: jobVersion, Job: j}
	body := j.Body
	if len(body) >= compressFrom {
		var buf bytes.Buffer
		w, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
		if err != nil {
			return nil, fmt.Errorf("encode job %s: %w", j.ID, err)
		}
		if _, err := w.Write(body); err != nil {
			return nil, fmt.Errorf("encode job %s: %w", j.ID, err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("encode job %s: %w", j.ID, err)
		}
		body, head.Gzip = buf.Bytes(), true
	}
	b, err := marshal(head)
	if err != nil {
		return nil, fmt.Errorf("encode job %s: %w", j.ID, err)
	}
	b = append(b, '\n')
	return append(b, body...), nil
}

// DecodeJob reads a job's message, whose bytes it does not retain.
func DecodeJob(b []byte) (*Job, error) {
	line, body, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return nil, errors.New("read job: no line feed behind its head")
	}
	head := jobHead{Job: &Job{}}
	if err := json.Unmarshal(line, &head); err != nil {
		return nil, fmt.Errorf("read job: %w", err)
	}
	j := head.Job
	switch {
	case head.Version > jobVersion:
		return nil, fmt.Errorf("read job: written by a newer Bellhop (format %d, this one knows %d)", head.Version, jobVersion)
	case j.ID == "" || j.Rule == "" || j.Webhook == "" || j.Run < 1 || j.Attempt < 1:
		return nil, errors.New("read job: no id, rule, webhook, run or attempt")
	}
	j.Trace = j.Trace.Valid()
	if !head.Gzip {
		j.Body = bytes.Clone(body)
		return j, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("read job %s: %w", j.ID, err)
	}
	if j.Body, err = io.ReadAll(io.LimitReader(r, maxJobBody+1)); err != nil {
		return nil, fmt.Errorf("read job %s: %w", j.ID, err)
	}
	if len(j.Body) > maxJobBody {
		return nil, fmt.Errorf("read job %s: body over %d bytes", j.ID, maxJobBody)
	}
	return j, nil
}
