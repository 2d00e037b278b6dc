package rule

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

const (
	// maxWhen is how many characters an expression may have: room for any condition that a person can read.
	maxWhen = 4096
	// maxWhenNodes bounds the parts of an expression.
	maxWhenNodes = 1000
)

// when is a compiled expression. It is immutable and safe for concurrent use.
type when struct {
	source  string
	program *vm.Program
	reads   []reading // the fields it may read of the data
	readAll bool      // it asks for $env, which is all of them

	patterns int // the steps of the patterns in it
}

// compileWhen checks an expression and compiles it with its limits built in. The error's text is one line.
func compileWhen(source string) (w *when, err error) {
	// The text is an operator's: what the library does not foresee must not end the daemon that reloads it.
	defer func() {
		if r := recover(); r != nil {
			w, err = nil, fmt.Errorf("cannot be compiled: %v", r)
		}
	}()
	if strings.TrimSpace(source) == "" {
		return nil, errors.New("an empty expression")
	}
	if n := utf8.RuneCountInString(source); n > maxWhen {
		return nil, fmt.Errorf("%d characters, at most %d", n, maxWhen)
	}
	options := []expr.Option{
		expr.Env(checkedNames()), expr.AllowUndefinedVariables(), expr.MaxNodes(maxWhenNodes),
	}
	for name := range replaced {
		options = append(options, expr.DisableBuiltin(name))
	}
	// First as written, for the types it states; then with its limits built in, which take the types' place.
	program, err := expr.Compile(source, append(slices.Clip(options), expr.Patch(fields{}))...)
	if err != nil {
		return nil, oneLine(err)
	}
	if t := program.Node().Type(); t != nil && t.Kind() != reflect.Interface && t.Kind() != reflect.Bool {
		return nil, fmt.Errorf("gives %s, not true or false", typeName(t))
	}
	limits := &limiter{}
	program, err = expr.Compile(source, append(slices.Clip(options), expr.MaxNodes(0), expr.Patch(limits))...)
	if limits.err != nil {
		err = limits.err.Bind(file.NewSource(source))
	}
	if err != nil {
		return nil, oneLine(err)
	}
	return &when{source: source, program: program, reads: limits.reads(), readAll: limits.all, patterns: limits.patterns}, nil
}

// why runs the expression and says why it does not send, "" where it gives true.
func (w *when) why(s *scope) (reason string) {
	// The machine turns panics of its own into errors; what it runs before and after is guarded here.
	defer func() {
		if r := recover(); r != nil {
			reason = fmt.Sprintf("%s: %v", w.shown(), r)
		}
	}()
	env := s.environment(w)
	result, err := vm.Run(w.program, env)
	if err != nil {
		return fmt.Sprintf("%s: %v", w.shown(), oneLine(err))
	}
	switch result {
	case true:
		return ""
	case false:
		return w.shown() + " is false"
	}
	return fmt.Sprintf("%s gives %s, not true or false", w.shown(), typeName(reflect.TypeOf(result)))
}

// shown is the expression on one line, cut short.
func (w *when) shown() string { return cut(strings.Join(strings.Fields(w.source), " "), 2*maxShown) }

// oneLine gives an error of the library without its drawing of the source, the place behind it.
func oneLine(err error) error {
	var at *file.Error
	if !errors.As(err, &at) {
		return errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	text := cut(strings.Join(strings.Fields(at.Message), " "), 4*maxShown)
	if at.Line == 0 {
		return errors.New(text)
	}
	return fmt.Errorf("%s (%d:%d)", text, at.Line, at.Column+1)
}

// typeName names the type of a result in the data's words.
func typeName(t reflect.Type) string {
	if t == nil {
		return "nil"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Float64:
		return "a number"
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map:
		return "an object"
	}
	return t.String()
}
