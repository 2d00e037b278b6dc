package config

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// parseYAML reads the documents of a YAML text; an empty document is left out. It and what it calls are this room's only
// door to the YAML library: nothing else knows which one it is. The library's notion of types, which follows YAML 1.1 in
// part, is not used: nodes keep what was written and whether it was quoted. A failure of the library on hostile input is
// an error, never a panic.
func parseYAML(text string) ([]*node, error) {
	text, restore, err := prepare(text)
	if err != nil {
		return nil, err
	}
	r := reading{src: &source{text: text}, restore: restore, nodes: &nodes{}}
	return r.documents()
}

// prepare checks a text's characters, and shields it.
func prepare(text string) (prepared string, restore *strings.Replacer, err error) {
	if len(text) > maxFileSize {
		return "", nil, &syntaxError{1, 1, fmt.Sprintf("%d bytes, at most %d", len(text), maxFileSize)}
	}
	text = strings.TrimPrefix(text, byteOrderMark)
	if e := checkCharacters(text); e != nil {
		return "", nil, e
	}
	prepared, restore = shield(text)
	return prepared, restore, nil
}

// reading is one pass over a prepared text.
type reading struct {
	src      *source
	restore  *strings.Replacer
	nodes    *nodes
	aliases  int // seen
	repeated int // nodes that they repeat, in all documents
}

// documents reads to the end.
func (r *reading) documents() (docs []*node, err error) {
	defer func() {
		if r := recover(); r != nil {
			docs, err = nil, &syntaxError{1, 1, "the YAML parser gave up on this text"}
		}
	}()
	// The limit keeps the library's recursion, and ours, off the stack's end; the exact depth is checked in the tree.
	loader, err := yaml.NewLoader(beginDocument(r.src), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		return nil, &syntaxError{1, 1, err.Error()}
	}
	for {
		var doc yaml.Node
		err := loader.Load(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, complain(err, r.src)
		}
		if len(doc.Content) == 0 {
			continue
		}
		c := converter{src: r.src, restore: r.restore, nodes: r.nodes, done: map[*yaml.Node]*node{}}
		n, err := c.node(doc.Content[0])
		if err != nil {
			return nil, err
		}
		r.aliases += c.aliases
		if n.null() {
			continue
		}
		if n.size > c.made+maxExpansion {
			return nil, &syntaxError{int(n.line), int(n.col), fmt.Sprintf("aliases repeat more than %d values", maxExpansion)}
		}
		r.repeated += n.size - c.made
		docs = append(docs, n)
	}
}

const byteOrderMark = "\ufeff"

// checkCharacters refuses what YAML forbids anywhere in a text (YAML 1.2.2, 5.1): invalid UTF-8 and control characters.
func checkCharacters(text string) *syntaxError {
	if wide(text) {
		return &syntaxError{1, 1, "the text is UTF-16, but UTF-8 belongs here"}
	}
	line, col := 1, 1
	for i := 0; i < len(text); {
		c := text[i]
		if c >= ' ' && c < 0x7f {
			i++
			col++
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == '\n' || r == '\r' && !strings.HasPrefix(text[i:], "\r\n"):
			line, col = line+1, 0
		case r == '\r' || r == '\t':
		case r == utf8.RuneError && size == 1:
			return &syntaxError{line, col, fmt.Sprintf("byte 0x%02x is not UTF-8", c)}
		case r < ' ', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff,
			r >= placeholder && r < placeholder+3:
			return &syntaxError{line, col, fmt.Sprintf("control character %U is not allowed", r)}
		case r == 0xfeff && col == 1 && !strings.HasPrefix(text[i+size:], "---"):
			return &syntaxError{line, col, "a byte order mark, which may only stand where a document begins: remove it"}
		}
		i += size
		col++
	}
	return nil
}

// wide tells a text in UTF-16 by its byte order mark, or by the half of its first character that is NUL.
func wide(text string) bool {
	if len(text) < 2 {
		return false
	}
	return text[:2] == "\xff\xfe" || text[:2] == "\xfe\xff" || (text[0] == 0) != (text[1] == 0)
}

// placeholder is the first of three characters that Unicode keeps free for uses such as shield's.
const placeholder = 0xfdd0

var (
	// The library breaks lines at these, as YAML 1.1 did; to YAML 1.2 (5.4) they are characters like any other.
	hideBreaks  = strings.NewReplacer("\u0085", "\ufdd0", "\u2028", "\ufdd1", "\u2029", "\ufdd2")
	showBreaks  = strings.NewReplacer("\ufdd0", "\u0085", "\ufdd1", "\u2028", "\ufdd2", "\u2029")
	versionLine = regexp.MustCompile(`(?:\A|\n\.\.\.[ \t]*\r?\n)(?:[ \t]*(?:#[^\n]*)?\r?\n)*%YAML 1\.[0-9]`)
	laterMark   = regexp.MustCompile(`\n` + byteOrderMark + `---`)
)

// shield hides from the library what it would take wrongly, without moving anything else. It returns what puts the values
// right again, nil where nothing needs to be.
func shield(text string) (shielded string, restore *strings.Replacer) {
	if strings.Contains(text, "\u0085") || strings.Contains(text, "\u2028") || strings.Contains(text, "\u2029") {
		text, restore = hideBreaks.Replace(text), showBreaks
	}
	if strings.Contains(text, "%YAML 1.") {
		// The only version the library knows is 1.1; it reads both the same way.
		text = versionLine.ReplaceAllStringFunc(text, func(s string) string { return s[:len(s)-1] + "1" })
	}
	if strings.Contains(text, byteOrderMark) {
		text = laterMark.ReplaceAllString(text, "\n---") // of files put together
	}
	return text, restore
}

// documentStart is what beginDocument puts into the text.
const documentStart = "--- "

// beginDocument is a reader of the text for the library. A text in brackets as a whole, such as JSON, might be a key: the
// library keeps all tokens of its first line until it knows, which takes a gigabyte for each megabyte. Behind the mark of a
// document's beginning no key can stand, so one is put in front of the bracket.
func beginDocument(src *source) io.Reader {
	rest := strings.TrimLeft(src.text, "\r\n")
	if rest == "" || rest[0] != '{' && rest[0] != '[' {
		return strings.NewReader(src.text)
	}
	before := src.text[:len(src.text)-len(rest)]
	before = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(before)
	src.moved = 1 + len(before)
	return io.MultiReader(strings.NewReader(before), strings.NewReader(documentStart), strings.NewReader(rest))
}

// converter turns the library's tree into nodes.
type converter struct {
	src     *source
	restore *strings.Replacer
	done    map[*yaml.Node]*node // what is anchored; nil while it is under way
	made    int                  // nodes made, aliases not written out
	aliases int
	depth   int
	nodes   *nodes
}

// make allocates a node at the place of the library's.
func (c *converter) make(kind nodeKind, n *yaml.Node) *node {
	c.made++
	out := c.nodes.next()
	line, col := c.src.place(n.Line, n.Column)
	*out = node{kind: kind, depth: 1, size: 1, line: int32(line), col: int32(col)}
	return out
}

// node converts one node of the tree, and lets go of its children.
func (c *converter) node(n *yaml.Node) (out *node, err error) {
	if n.Kind == yaml.AliasNode {
		c.aliases++
		if out = c.done[n.Alias]; out == nil {
			return nil, c.fault(n, "the alias *%s stands inside of its own anchor", n.Value)
		}
		return out, nil
	}
	if n.Style&yaml.TaggedStyle != 0 && !coreTag(n.Tag) {
		return nil, c.fault(n, "unknown tag %s: quote a value that begins with an exclamation mark", quote(n.Tag))
	}
	if c.depth++; c.depth > maxDepth {
		return nil, c.fault(n, "nested more than %d levels deep", maxDepth)
	}
	defer func() { c.depth-- }()
	switch n.Kind {
	case yaml.ScalarNode:
		out = c.scalar(n)
	case yaml.MappingNode:
		out = c.make(mappingNode, n)
		out.pairs = make([]pair, 0, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			var p pair
			if p.key, err = c.node(n.Content[i]); err != nil {
				return nil, err
			}
			if p.value, err = c.node(n.Content[i+1]); err != nil {
				return nil, err
			}
			out.pairs = append(out.pairs, p)
			out.grow(p.key)
			out.grow(p.value)
		}
	case yaml.SequenceNode:
		out = c.make(listNode, n)
		out.items = make([]*node, 0, len(n.Content))
		for _, child := range n.Content {
			item, err := c.node(child)
			if err != nil {
				return nil, err
			}
			out.items = append(out.items, item)
			out.grow(item)
		}
	default:
		return nil, c.fault(n, "not supported here")
	}
	// Aliases can make a deep tree out of a shallow text.
	if out.depth > maxDepth {
		return nil, c.fault(n, "nested more than %d levels deep", maxDepth)
	}
	if n.Anchor != "" {
		c.done[n] = out
	}
	n.Content = nil // two whole trees of a large file would be a gigabyte
	return out, nil
}

// scalar converts a scalar.
func (c *converter) scalar(n *yaml.Node) *node {
	out := c.make(scalarNode, n)
	out.text = n.Value
	const quotes = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	if n.Style&quotes == 0 {
		tagged := n.Tag == "!" || n.Style&yaml.TaggedStyle != 0
		out.plain = !tagged || n.Tag != "!" && n.Tag != "!!str"
		// A space may have been the end of a line.
		out.inline = !tagged && n.Anchor == "" &&
			(!strings.ContainsAny(n.Value, " \n") || strings.HasPrefix(c.src.from(int(out.line), int(out.col)), n.Value))
	}
	if c.restore != nil {
		out.text = c.restore.Replace(out.text)
	}
	return out
}

// coreTag tells whether a tag is one of the core schema's; one of any other kind means nothing in Bellhop's files.
func coreTag(tag string) bool {
	switch tag {
	case "!", "!!str", "!!map", "!!seq", "!!int", "!!float", "!!bool", "!!null":
		return true
	}
	return false
}

// fault makes an error at a node.
func (c *converter) fault(n *yaml.Node, format string, args ...any) *syntaxError {
	line, col := c.src.place(n.Line, n.Column)
	return &syntaxError{line, col, fmt.Sprintf(format, args...)}
}
