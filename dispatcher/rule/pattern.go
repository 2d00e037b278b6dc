package rule

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

const (
	// maxPattern is how many steps one pattern may have: repetitions are written out, so that (?:...){1000} has a thousand
	// times what it repeats.
	maxPattern = 5000
	// maxPatternText is how many bytes a pattern may have as written, so that one too large is not even parsed.
	maxPatternText = 20_000
	// maxPatterns bounds the steps of all different patterns of a rule set, which are some 200 MB.
	maxPatterns = 4_000_000
	// maxSearch bounds the steps of a search at worst, those of the pattern times the bytes of the text: RE2 is linear in
	// both, but takes minutes for a thousand steps and a mebibyte.
	maxSearch = 1 << 27
)

// pattern is a compiled operand of matches.
type pattern struct {
	*regexp.Regexp
	steps int
}

// tooLong tells whether a search of the text might take too long. The condition does not hold then.
func (p *pattern) tooLong(text string) bool { return len(text) > maxSearch/p.steps }

// patternSteps counts the steps of a pattern's machine, a class of many characters for several. It fails where the pattern
// is none, or is too large.
func patternSteps(text string) (int, error) {
	if len(text) > maxPatternText {
		return 0, fmt.Errorf("a pattern of %d bytes, at most %d", len(text), maxPatternText)
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	classes := classSize(parsed)
	machine, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	steps := len(machine.Inst) + classes/8
	if steps > maxPattern {
		return 0, fmt.Errorf("a pattern of %d steps, at most %d: repeat less, or fewer characters", steps, maxPattern)
	}
	return steps, nil
}

// classSize counts what the character classes of a pattern hold, each as often as it is written.
func classSize(p *syntax.Regexp) int {
	n := 0
	if p.Op == syntax.OpCharClass {
		n = len(p.Rune)
	}
	for _, sub := range p.Sub {
		n += classSize(sub)
	}
	return n
}

// patterns are those of one rule set, each compiled once. It is safe for concurrent use.
type patterns struct {
	mu    sync.Mutex
	known map[string]*pattern
	steps int
	told  bool // that there are too many
}

// compile compiles a pattern. Both are nil where an earlier one has had the error that there are too many.
func (p *patterns) compile(text string) (*pattern, error) {
	p.mu.Lock()
	known := p.known[text]
	p.mu.Unlock()
	if known != nil {
		return known, nil
	}
	steps, err := patternSteps(text)
	if err != nil {
		return nil, err
	}
	if ok, err := p.charge(steps); !ok {
		return nil, err
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, err
	}
	made := &pattern{re, steps}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]*pattern{}
	}
	p.known[text] = made
	return made, nil
}

// charge adds a pattern's steps; false where there are too many, with an error the first time.
func (p *patterns) charge(steps int) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.steps += steps
	if p.steps <= maxPatterns {
		return true, nil
	}
	if p.told {
		return false, nil
	}
	p.told = true
	return false, fmt.Errorf("the patterns of all rules have more than %d steps together: use fewer, or repeat less in them", maxPatterns)
}
