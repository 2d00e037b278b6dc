package event

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxDepth bounds the nesting of lists and objects. Real events nest a handful deep; the bound keeps a hostile one from
// growing the stack.
const maxDepth = 512

// ParseJSON reads one JSON text (RFC 8259) strictly: valid UTF-8 without a byte order mark, nothing behind it, at most
// 512 levels deep. Members named password or ssn, in any case and at any depth, are read and left out. Of members of
// the same name the last value wins, at the first one's place. Lone surrogates become U+FFFD. It takes time linear in
// the input and does not retain data. Errors say what was expected and at which byte, counted from 0, and quote nothing:
// a payload may hold personal data.
func ParseJSON(data []byte) (Value, error) {
	p := parsers.Get().(*parser)
	defer p.release()
	// Strings without escapes are slices of this one copy.
	return p.parse(string(data))
}

// parse reads one text. The value's strings are slices of it, and its parts are the parser's slabs'.
func (p *parser) parse(text string) (Value, error) {
	if !utf8.ValidString(text) {
		return Value{}, fmt.Errorf("invalid UTF-8 at byte %d", invalidAt(text))
	}
	p.src, p.pos = text, 0
	p.size(text)

	p.space()
	if p.pos == len(p.src) {
		return Value{}, errors.New("empty")
	}
	if strings.HasPrefix(p.src, "\ufeff") {
		return Value{}, errors.New("byte order mark at byte 0")
	}
	v, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	p.space()
	if p.pos < len(p.src) {
		return Value{}, p.expected("nothing more")
	}
	return v, nil
}

// invalidAt finds the first byte that is not UTF-8.
func invalidAt(text string) int {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(text)
}

// parser reads one text after another. Its stacks serve them all; its slabs go with the value, or serve the next one too.
type parser struct {
	src     string
	pos     int
	fields  []Field // members of the objects not yet closed
	items   []Value // elements of the lists not yet closed
	scratch []byte  // a string being unescaped

	fieldSlab slab[Field]
	itemSlab  slab[Value]
	bodySlab  slab[body]
}

var parsers = sync.Pool{New: func() any { return new(parser) }}

// keepStack is how many entries of a stack the pool keeps; a rare huge event must not pin its memory for ever.
const keepStack = 4096

// size guesses the slabs' first chunks: a text has no more members than colons, and no more bodies than opening brackets. It has
// that many only where no string holds them, so the guess is bounded.
func (p *parser) size(text string) {
	p.fieldSlab.begin(min(max(strings.Count(text, ":"), 4), keepChunk))
	lists := strings.Count(text, "[")
	p.itemSlab.begin(min(max(4*lists, 1), keepChunk))
	p.bodySlab.begin(min(max(strings.Count(text, "{")+lists, 1), 64))
}

// release gives the parser back without what it read.
func (p *parser) release() {
	p.fieldSlab, p.itemSlab, p.bodySlab = slab[Field]{}, slab[Value]{}, slab[body]{}
	p.reset()
	parsers.Put(p)
}

// reuse takes back what the last value is made of, which must not be used any more.
func (p *parser) reuse() {
	p.fieldSlab.reuse()
	p.itemSlab.reuse()
	p.bodySlab.reuse()
	p.reset()
}

// reset forgets the last text.
func (p *parser) reset() {
	p.src, p.pos = "", 0
	// Closed lists and objects have cleared their part of the stacks; an error leaves the rest.
	clear(p.fields)
	clear(p.items)
	p.fields, p.items = p.fields[:0], p.items[:0]
	if cap(p.fields) > keepStack {
		p.fields = nil
	}
	if cap(p.items) > keepStack {
		p.items = nil
	}
	if cap(p.scratch) > 16*keepStack {
		p.scratch = nil
	}
}

// slab hands out slices of chunks that double, so that a small event costs few allocations and a large one few more. Its first
// chunk can be used again.
type slab[T any] struct {
	first []T // zero, but for what was handed out
	free  []T
	next  int
}

const (
	maxChunk = 1024
	// keepChunk is the largest chunk that is kept for the next text.
	keepChunk = 256
)

// begin makes n elements the first chunk's size, or what it has where that is more.
func (s *slab[T]) begin(n int) {
	s.free, s.next = s.first, n
}

// reuse takes back all that was handed out, and keeps the first chunk.
func (s *slab[T]) reuse() {
	clear(s.first)
	s.free = nil
}

// take returns n fresh elements that no append can grow into a neighbour's.
func (s *slab[T]) take(n int) []T {
	if n > len(s.free) {
		if n >= s.next {
			return make([]T, n)
		}
		s.free = make([]T, s.next)
		if len(s.first) < s.next && s.next <= keepChunk {
			s.first = s.free
		}
		s.next = min(2*s.next, maxChunk)
	}
	got := s.free[:n:n]
	s.free = s.free[n:]
	return got
}

// expected is a syntax error at the current byte.
func (p *parser) expected(what string) error {
	if p.pos >= len(p.src) {
		return fmt.Errorf("ends at byte %d, expected %s", len(p.src), what)
	}
	return fmt.Errorf("expected %s at byte %d", what, p.pos)
}

// space skips white space (RFC 8259, section 2).
func (p *parser) space() {
	for p.pos < len(p.src) {
		switch p.src[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end: no token begins with NUL.
func (p *parser) peek() byte {
	if p.pos < len(p.src) {
		return p.src[p.pos]
	}
	return 0
}

// value reads one value; depth counts the lists and objects around it.
func (p *parser) value(depth int) (Value, error) {
	switch c := p.peek(); c {
	case '{':
		return p.object(depth + 1)
	case '[':
		return p.list(depth + 1)
	case '"':
		text, err := p.text()
		return Value{kind: String, text: text}, err
	case 't':
		return Value{kind: Bool, truth: true}, p.word("true")
	case 'f':
		return Value{kind: Bool}, p.word("false")
	case 'n':
		return Value{kind: Null}, p.word("null")
	default:
		if c == '-' || isDigit(c) {
			return p.number()
		}
		return Value{}, p.expected("a value")
	}
}

// word reads one of the three literal names.
func (p *parser) word(w string) error {
	if !strings.HasPrefix(p.src[p.pos:], w) {
		return p.expected("a value")
	}
	p.pos += len(w)
	return nil
}

// object reads from the opening brace to the closing one.
func (p *parser) object(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, fmt.Errorf("more than %d levels deep at byte %d", maxDepth, p.pos)
	}
	base := len(p.fields)
	p.pos++
	p.space()
	if p.peek() == '}' {
		p.pos++
		return Value{kind: Object}, nil
	}
	for {
		if p.peek() != '"' {
			return Value{}, p.expected("a quoted name")
		}
		name, err := p.text()
		if err != nil {
			return Value{}, err
		}
		p.space()
		if p.peek() != ':' {
			return Value{}, p.expected("a colon")
		}
		p.pos++
		p.space()
		v, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		if !private(name) {
			p.fields = append(p.fields, Field{Name: name, Value: v})
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case '}':
			p.pos++
			return p.closeObject(base), nil
		default:
			return Value{}, p.expected("a comma or a closing brace")
		}
	}
}

// closeObject takes the members from base on off the stack, the last of each name at the first one's place.
func (p *parser) closeObject(base int) Value {
	members := p.fields[base:]
	if len(members) == 0 { // all of them were private
		return Value{kind: Object}
	}
	b := &p.bodySlab.take(1)[0]
	n := 0
	if len(members) > indexAbove {
		// The index finds duplicates too: comparing each with each would take quadratic time.
		b.index = make(map[string]int32, len(members))
		for i := range members {
			if at, ok := b.index[members[i].Name]; ok {
				members[at].Value = members[i].Value
				continue
			}
			b.index[members[i].Name] = int32(n)
			members[n] = members[i]
			n++
		}
	} else {
	next:
		for i := range members {
			for at := range n {
				if members[at].Name == members[i].Name {
					members[at].Value = members[i].Value
					continue next
				}
			}
			members[n] = members[i]
			n++
		}
	}
	b.fields = p.fieldSlab.take(n)
	copy(b.fields, members)
	clear(members)
	p.fields = p.fields[:base]
	return Value{kind: Object, body: b}
}

// list reads from the opening bracket to the closing one.
func (p *parser) list(depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, fmt.Errorf("more than %d levels deep at byte %d", maxDepth, p.pos)
	}
	base := len(p.items)
	p.pos++
	p.space()
	if p.peek() == ']' {
		p.pos++
		return Value{kind: List}, nil
	}
	for {
		v, err := p.value(depth)
		if err != nil {
			return Value{}, err
		}
		p.items = append(p.items, v)
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case ']':
			p.pos++
			elements := p.items[base:]
			b := &p.bodySlab.take(1)[0]
			b.items = p.itemSlab.take(len(elements))
			copy(b.items, elements)
			clear(elements)
			p.items = p.items[:base]
			return Value{kind: List, body: b}, nil
		default:
			return Value{}, p.expected("a comma or a closing bracket")
		}
	}
}

// number reads one number and keeps it as written (RFC 8259, section 6).
func (p *parser) number() (Value, error) {
	start := p.pos
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++ // no digit may follow a leading zero
	} else if err := p.digits(); err != nil {
		return Value{}, err
	}
	if p.peek() == '.' {
		p.pos++
		if err := p.digits(); err != nil {
			return Value{}, err
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if err := p.digits(); err != nil {
			return Value{}, err
		}
	}
	return Value{kind: Number, text: p.src[start:p.pos]}, nil
}

// digits reads one digit or more.
func (p *parser) digits() error {
	start := p.pos
	for isDigit(p.peek()) {
		p.pos++
	}
	if p.pos == start {
		return p.expected("a digit")
	}
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
