package config

import (
	"strings"
	"sync"
	"sync/atomic"

	"bellhop/dispatcher/rule"
	"bellhop/internal/parallel"
)

// pieceSize is how many bytes of a file's rules are read together. Files up to this size are read as a whole.
const pieceSize = 256 << 10

// piece is some entries of a file's list of rules.
type piece struct {
	text   string
	before int // lines of the file before the text
	first  int // entries of the list before it
	count  int // entries in it, by their dashes

	shaper   shaper
	repeated int // nodes, by aliases
}

// pieces reads a large file of rules as file does, its list of rules in pieces, all processors at work. It tells whether it
// did: a file that is written otherwise than files are, or not well, is read as a whole, which finds out the same and says
// what is wrong.
func (s *shaper) pieces(f rule.SourceFile, size int) bool {
	if len(f.Text) <= size {
		return false
	}
	text, restore, err := prepare(f.Text)
	if err != nil {
		return false
	}
	rest, list, ok := cutRules(text, size)
	if !ok {
		return false
	}
	doc, repeated, ok := readFrame(rest, restore, list[0].before)
	if !ok {
		return false
	}
	last := list[len(list)-1]
	rules := make([]rule.RuleDef, last.first+last.count)
	var failed atomic.Bool
	parallel.Each(len(list), func(i int) {
		if failed.Load() {
			return
		}
		p := &list[i]
		end := p.first + p.count
		p.shaper = shaper{name: s.name, rules: p.first, defs: &rule.Definitions{Rules: rules[p.first:p.first:end]}}
		if !p.shape(restore) {
			failed.Store(true)
		}
	})
	for i := range list {
		repeated += list[i].repeated
	}
	if failed.Load() || repeated > maxExpansion {
		return false
	}
	s.document(doc)
	for i := range list {
		s.problems = append(s.problems, list[i].shaper.problems...)
	}
	s.defs.Rules = rules
	return true
}

// spareNodes are those of pieces that have been read: definitions keep none.
var spareNodes = sync.Pool{New: func() any { return &nodes{} }}

// shape reads the piece's entries. It tells whether they are what they were taken for.
func (p *piece) shape(restore *strings.Replacer) bool {
	nodes := spareNodes.Get().(*nodes) //nolint:forcetypeassert // nothing else is put there
	defer func() {
		nodes.reset()
		spareNodes.Put(nodes)
	}()
	read := reading{src: &source{text: p.text, before: p.before}, restore: restore, nodes: nodes}
	docs, err := read.documents()
	if err != nil || len(docs) != 1 {
		return false
	}
	n := docs[0]
	p.repeated = read.repeated
	// In the file a mapping stands around the list.
	if n.kind != listNode || len(n.items) != p.count || n.depth >= maxDepth {
		return false
	}
	p.shaper.ruleList(n)
	return len(p.shaper.defs.Rules) == p.count
}

// readFrame reads what stands around the list of rules, in whose place there are empty lines. line is that of the key.
func readFrame(text string, restore *strings.Replacer, line int) (doc *node, repeated int, ok bool) {
	read := reading{src: &source{text: text}, restore: restore, nodes: &nodes{}}
	docs, err := read.documents()
	// An alias might mean an anchor of the list.
	if err != nil || len(docs) != 1 || docs[0].kind != mappingNode || read.aliases > 0 {
		return nil, 0, false
	}
	for _, p := range docs[0].pairs {
		if p.key.kind != scalarNode || p.key.text != "rules" {
			continue
		}
		if ok || !p.key.plain || int(p.key.line) != line || p.key.col != 1 || !p.value.null() || !p.value.plain {
			return nil, 0, false
		}
		ok = true
	}
	return docs[0], read.repeated, ok
}

// cutRules cuts the list of rules out of a file's text, where it stands as files are written: under a line that is rules:,
// each entry begun by a dash, all dashes under one another. It gives the rest, with empty lines for the list, and the list
// in pieces of about a size. Whoever reads the pieces must check that they are what they seem: a line that looks like an
// entry's first may be in the midst of a quoted text.
func cutRules(text string, size int) (rest string, pieces []piece, ok bool) {
	if strings.Contains(text, "\r") {
		return "", nil, false
	}
	from, line := 0, 0 // where the list begins, and the lines before it
	for begun := false; !begun; line++ {
		end := strings.IndexByte(text[from:], '\n')
		if end < 0 {
			return "", nil, false
		}
		begun = opensRules(text[from : from+end])
		from += end + 1
	}
	p := piece{before: line}
	begin, at, lines, entries, indent := from, from, line, 0, -1
	for at < len(text) {
		end := strings.IndexByte(text[at:], '\n') + 1
		if end == 0 {
			end = len(text) - at
		}
		written := strings.TrimRight(text[at:at+end], "\n")
		body := strings.TrimLeft(written, " ")
		spaces := len(written) - len(body)
		blank := body == "" || body[0] == '#'
		switch {
		case blank:
		case body[0] == '\t':
			if strings.Trim(body, " \t") != "" {
				return "", nil, false
			}
			blank = true
		case indent < 0:
			indent = spaces
		}
		if !blank && spaces <= indent {
			if spaces < indent || body != "-" && !strings.HasPrefix(body, "- ") {
				break // something else begins
			}
			if at-begin >= size && entries > p.first {
				p.text, p.count = text[begin:at], entries-p.first
				pieces = append(pieces, p)
				p, begin = piece{before: lines, first: entries}, at
			}
			entries++
		}
		at += end
		lines++
	}
	p.text, p.count = text[begin:at], entries-p.first
	pieces = append(pieces, p)
	return text[:from] + strings.Repeat("\n", lines-line) + text[at:], pieces, entries > 0
}

// opensRules tells whether a line is the key of the list of rules.
func opensRules(line string) bool {
	rest, ok := strings.CutPrefix(line, "rules:")
	trimmed := strings.TrimLeft(rest, " ")
	return ok && (trimmed == "" || trimmed[0] == '#' && trimmed != rest)
}
