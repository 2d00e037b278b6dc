package rule

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/vm/runtime"

	"bellhop/dispatcher/event"
)

const (
	// budget is how many steps one expression may take for one event: some tens of milliseconds at worst, and no more
	// than 32 MiB of text built.
	budget = 2_000_000
	// minRound is the least that one round of a loop costs, which makes 100,000 rounds at most.
	minRound = 20
	// perStep is how many bytes of text are one step.
	perStep = 16
)

var errBudget = errors.New("takes too many steps for one event")

// meter counts down the steps of one run.
type meter struct{ left int }

// charge takes steps, and ends the run by a panic, which the machine turns into its error, where none are left.
func (m *meter) charge(steps int) {
	if steps < 0 || steps > m.left {
		m.left = 0
		panic(errBudget)
	}
	m.left -= steps
}

// size charges for a look at each element of a list or object, or at a text.
func (m *meter) size(v any, weight int) {
	switch v := v.(type) {
	case string:
		m.charge(weight * (1 + len(v)/perStep))
	case []any:
		m.charge(weight * (1 + len(v)))
	case []int:
		m.charge(weight * (1 + len(v)))
	case map[string]any:
		m.charge(weight * (1 + len(v)))
	case map[any][]any: // what groupBy gives
		m.charge(weight * (1 + len(v)))
	default:
		m.charge(weight)
	}
}

// deep charges for all that the value holds, however often it holds it.
func (m *meter) deep(v any, weight int) {
	m.size(v, weight)
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			m.deep(item, weight)
		}
	case map[string]any:
		for key, item := range v {
			m.size(key, weight)
			m.deep(item, weight)
		}
	case map[any][]any:
		for _, item := range v {
			m.deep(item, weight)
		}
	}
}

// scope is one event as expressions see it. It serves one goroutine; what it has read of the event serves every
// expression after the first.
type scope struct {
	event *event.Event
	meter meter
	env   map[string]any
}

func newScope(e *event.Event) *scope { return &scope{event: e} }

// environment gives the machine what the expression reads, the meter full.
func (s *scope) environment(w *when) map[string]any {
	if s.env == nil {
		s.env = s.functions()
		s.env["event"] = map[string]any{
			"id":     s.event.ID,
			"source": orNil(s.event.Source),
			"type":   s.event.Type,
			"time":   s.event.Attr("time").Text(),
		}
	}
	for _, r := range w.reads {
		if _, there := s.env[r.name]; !there {
			s.env[r.name] = plain(s.event.Data.Field(r.field))
		}
	}
	if _, there := s.env[allName]; w.readAll && !there {
		everything := map[string]any{}
		for _, f := range s.event.Data.Fields() {
			everything[f.Name] = plain(f.Value)
		}
		everything["event"] = s.env["event"]
		s.env[allName] = everything
	}
	s.meter.left = budget
	return s.env
}

// function is the shape that the machine calls without reflection.
type function = func(...any) any

// functions are the hidden functions, charging the scope's meter.
func (s *scope) functions() map[string]any {
	m := &s.meter
	return map[string]any{
		stepName:            function(func(args ...any) any { m.charge(args[1].(int)); return args[0] }),
		sizeName:            function(func(args ...any) any { m.size(args[0], args[1].(int)); return args[0] }),
		deepName:            function(func(args ...any) any { m.deep(args[0], args[1].(int)); return args[0] }),
		matchesName:         function(m.matches),
		replaced["join"]:    function(m.join),
		replaced["replace"]: function(m.replace),
		replaced["repeat"]:  function(m.repeat),
		replaced["uniq"]:    function(m.uniq),
	}
}

// checkedNames are what an expression is checked against: the envelope and the hidden functions. Of the data nothing is
// known beforehand.
func checkedNames() map[string]any {
	env := (&scope{}).functions()
	env["event"] = map[string]any{}
	return env
}

// plain turns a value into what expressions work on: numbers become int where they fit, else float64.
func plain(v event.Value) any {
	switch v.Kind() {
	case event.Bool:
		return v.Bool()
	case event.String:
		return v.Text()
	case event.Number:
		return plainNumber(v.Text())
	case event.List:
		list := make([]any, len(v.Items()))
		for i, item := range v.Items() {
			list[i] = plain(item)
		}
		return list
	case event.Object:
		object := make(map[string]any, len(v.Fields()))
		for _, f := range v.Fields() {
			object[f.Name] = plain(f.Value)
		}
		return object
	}
	return nil
}

// maxWhole is the largest magnitude up to which every whole float64 stands for one number only.
const maxWhole = 1 << 53

func plainNumber(digits string) any {
	if i, err := strconv.Atoi(digits); err == nil {
		return i
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err == nil && f == math.Trunc(f) && math.Abs(f) <= maxWhole {
		return int(f) // 12.0 and 1e2 are whole numbers
	}
	return f // what is too large is infinite
}

func text(name string, v any) string {
	s, ok := v.(string)
	if !ok {
		panic(fmt.Errorf("%s needs text, not %T", name, v))
	}
	return s
}

func arguments(name string, args []any, least, most int) {
	if len(args) < least || len(args) > most {
		panic(fmt.Errorf("%s with %d arguments", name, len(args)))
	}
}

// matches holds a text against a pattern that comes with the event.
func (m *meter) matches(args ...any) any {
	if args[0] == nil || args[1] == nil {
		return false
	}
	value, pattern := text("matches", args[0]), text("matches", args[1])
	if len(pattern) > 1000 {
		panic(errors.New("matches with a pattern of more than 1000 bytes"))
	}
	steps, err := patternSteps(pattern)
	if err != nil {
		panic(err)
	}
	weight := patternWeight(steps)
	m.charge(64 + 16*weight)
	m.size(value, weight)
	p, err := regexp.Compile(pattern)
	if err != nil {
		panic(err)
	}
	return p.MatchString(value)
}

func (m *meter) join(args ...any) any {
	arguments("join", args, 1, 2)
	glue := ""
	if len(args) == 2 {
		glue = text("join", args[1])
	}
	list, ok := args[0].([]any)
	if !ok {
		panic(fmt.Errorf("join needs a list, not %T", args[0]))
	}
	parts := make([]string, len(list))
	for i, item := range list {
		parts[i] = text("join", item)
		m.charge(2 + (len(parts[i])+len(glue))/perStep)
	}
	return strings.Join(parts, glue)
}

func (m *meter) replace(args ...any) any {
	arguments("replace", args, 3, 4)
	s, from, to := text("replace", args[0]), text("replace", args[1]), text("replace", args[2])
	most := -1
	if len(args) == 4 {
		most = runtime.ToInt(args[3])
	}
	m.size(s, 2)
	if n := strings.Count(s, from); n > 0 {
		if most >= 0 {
			n = min(n, most)
		}
		m.charge(n)
		m.charge(n * (len(to) / perStep))
	}
	return strings.Replace(s, from, to, most)
}

func (m *meter) repeat(args ...any) any {
	arguments("repeat", args, 2, 2)
	s, n := text("repeat", args[0]), runtime.ToInt(args[1])
	if n < 0 {
		panic(fmt.Errorf("repeat needs a count of 0 or more, not %d", n))
	}
	m.charge(min(n, budget+1))
	m.charge(n * (len(s) / perStep))
	return strings.Repeat(s, n)
}

// uniq keeps the first of equal elements. Elements with elements of their own are compared one by one.
func (m *meter) uniq(args ...any) any {
	arguments("uniq", args, 1, 1)
	var list []any
	switch v := args[0].(type) {
	case []any:
		list = v
	case []int:
		for _, i := range v {
			list = append(list, i)
		}
	default:
		panic(fmt.Errorf("uniq needs a list, not %T", args[0]))
	}
	seen := map[any]bool{}
	kept := []any{}
	var nested []any
	for _, item := range list {
		m.size(item, 2)
		key := item
		switch v := item.(type) {
		case nil, string, bool:
		case int:
			if v > -maxWhole && v < maxWhole {
				key = float64(v) // 1 and 1.0 are one number
			}
		case float64:
		default:
			if m.among(nested, item) {
				continue
			}
			nested = append(nested, item)
			kept = append(kept, item)
			continue
		}
		if !seen[key] {
			seen[key] = true
			kept = append(kept, item)
		}
	}
	return kept
}

func (m *meter) among(list []any, item any) bool {
	for _, other := range list {
		m.deep(other, 1)
		if runtime.Equal(other, item) {
			return true
		}
	}
	return false
}

// orNil is an attribute, nil where the event has none.
func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
