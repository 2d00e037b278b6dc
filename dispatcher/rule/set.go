package rule

import (
	"time"

	"bellhop/dispatcher/endpoint"
	"bellhop/dispatcher/event"
	"bellhop/template"
)

// SecretFunc resolves ${NAME} (file false) or ${file:name} (file true). Its error says what is missing, never a value.
type SecretFunc func(name string, file bool) (string, error)

// Options configures Compile, which calls its functions concurrently.
type Options struct {
	Defaults Defaults
	// Secret resolves secrets; nil leaves them unresolved, with a warning for each (rules check --no-secrets).
	Secret SecretFunc
	// Forbidden says why a literal address in an endpoint may not be called, "" where it may; nil asks nothing.
	Forbidden func(host string) string
}

// Set is a compiled rule set, immutable and safe for concurrent use.
type Set struct {
	Version string // the first 12 hex digits of the SHA-256 of Canonical
	Rules   []*Rule

	index    index
	webhooks map[webhookKey]*Webhook
}

type webhookKey struct{ rule, webhook string }

// Rule is one compiled rule.
type Rule struct {
	Name, Description string
	On                []string
	Enabled           bool
	IncludeArchived   bool
	Webhooks          []*Webhook
	Pos               Pos

	filter filter // nil: every event
}

// Webhook is one compiled webhook.
type Webhook struct {
	Rule       *Rule
	Name       string
	Endpoint   string       // for people: encoded for the wire, secrets as ${NAME}
	URL        endpoint.URL // for the wire, secrets resolved
	Parameters []Param
	Timeout    time.Duration
	Retries    int
	Headers    []Header
	Secrets    [][]byte // signing keys, decoded
	Signed     bool     // a secret is configured, even where unresolved
	// Unresolved tells that secrets were left as they are written (Options.Secret was nil): not to be sent.
	Unresolved bool
	Pos        Pos

	filter    filter // nil: every event
	when      *when  // nil: every event
	concealed []concealed
}

// Param is one parameter.
type Param struct {
	Name  string
	Value *template.Template

	pieces []*template.Template // Value in parts of a variable or so, where it has many; see pieces
}

// Header is one header of the webhook's own.
type Header struct {
	Name   string
	Value  string // for the wire
	Masked string // for people: secrets as ${NAME}
}

// MaskedHeaders returns the headers in their written order, each Value as it may be shown: secrets as ${NAME}.
func (w *Webhook) MaskedHeaders() []Header {
	headers := make([]Header, len(w.Headers))
	for i, h := range w.Headers {
		headers[i] = Header{Name: h.Name, Value: h.Masked, Masked: h.Masked}
	}
	return headers
}

// Find returns the webhook in force, nil where it or its rule is gone or its rule is disabled.
func (s *Set) Find(rule, webhook string) *Webhook {
	w := s.webhooks[webhookKey{rule, webhook}]
	if w == nil || !w.Rule.Enabled {
		return nil
	}
	return w
}

// Match appends to dst the webhooks that the event triggers, in file order. A when expression that fails or gives no
// boolean sends nothing. It costs by the webhooks that may fire: those whose filters ask for another value of a field are
// not looked at. It compiles nothing, and may be called concurrently.
func (s *Set) Match(e *event.Event, dst []*Webhook) []*Webhook {
	m := matching{event: e, archived: e.Archived(), dst: dst}
	s.index.match(&m)
	return m.dst
}

// matching is one event's way through the rules.
type matching struct {
	event    *event.Event
	archived bool
	rule     *Rule  // of the webhook judged last
	fires    bool   // that rule
	judged   int    // webhooks
	run      *scope // made for the first expression, shared by all
	dst      []*Webhook
}

// judge appends the webhook where the event triggers it. Webhooks come in file order, so each rule is judged once.
func (m *matching) judge(w *Webhook) {
	m.judged++
	if w.Rule != m.rule {
		m.rule = w.Rule
		m.fires = m.rule.Enabled && (m.rule.IncludeArchived || !m.archived) && (m.rule.filter == nil || m.rule.filter.holds(m.event))
	}
	if !m.fires || w.filter != nil && !w.filter.holds(m.event) {
		return
	}
	if w.when != nil {
		if m.run == nil {
			m.run = newScope(m.event)
		}
		if w.when.why(m.run) != "" {
			return
		}
	}
	m.dst = append(m.dst, w)
}
