package config

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestParseYAMLTellsWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a: [1, 2\n\n", "1:4: a [ that is never closed"},
		{"a: {x: [1, {y: 2}\n", "1:8: a [ that is never closed"},
		{"a: {x: 1", "1:4: a { that is never closed"},
		{"a: [1, 2\nb: 3\n", "2:2: a comma or ] is missing in the list that begins at 1:4"},
		{"a: {\n  x: 1\n  y: 2\n}\n", "3:4: a comma or } is missing in the mapping that begins at 1:4"},
		{"a: {b: ${X}}\n", "1:9: a comma or } is missing in the mapping that begins at 1:4: quote"},
		{"a: ]\n", "1:4: a ] where a value belongs"},
		{"a: {b: 1,, c: 2}\n", "1:10: a , where a value belongs"},
		{"a: {b: ", "1:7: the text ends where a value belongs"},
		{"[a]: b\n", "1:4: a colon where none can stand"},
		{"{a: 1}}\n", "1:7: text behind the end of the document"},
		{`{"a": 1, "b" 2}`, "1:14: a comma or } is missing in the mapping that begins at 1:1"},
		{"\r\n\n{a: *b}\n", "3:5: no anchor &b"},
		{"a: 1\nb: \"x\nc: 3\n", "2:4: a quote that is never closed"},
		{"a: 'x\n---\n", "1:4: a quote that is not closed before the document ends"},
		{"a: 'it's'\n", "1:8: not a key of the mapping that begins at 1:1: look at the indentation and the quotes"},
		{`a: "\d+"`, `1:5: no such escape in double quotes: write \\ for a backslash`},
		{`a: "\xzz"`, "1:7: a \\x, \\u or \\U in double quotes without its hexadecimal digits"},
		{"a: b: c\n", "1:5: a colon where none can stand"},
		{"a: 1\n b: 2\n", "2:3: a colon where none can stand"},
		{"a:\n    b: 1\n  c: 2\n", "3:3: not a key of the mapping that begins at 1:1: look at the indentation"},
		{"a:\n - x\n b: 1\n", "3:2: not an entry of the list that begins at 2:2: look at the indentation and the dashes"},
		{"a: 1\nb\nc: 2\n", "2:1: a key without a colon"},
		{"a: 1\nb", "2:1: a key without a colon"},
		{"a: - b\n", "1:4: a dash where no list can begin"},
		{"a: @x\n", "1:4: no value can begin with @: quote it"},
		{"a: [`x]\n", "1:5: no value can begin with `: quote it"},
		{"a: %x\n", "1:4: no value can begin with %: quote it"},
		{"on: [course.*, *.completed]\n", "1:16: no anchor &.completed stands before this alias: quote a text that begins with *"},
		{"on: [größe, ✓, 😀, *]\n", "1:19: no value can begin with * unless it is quoted"},
		{"a: & b\n", "1:4: no value can begin with & unless it is quoted"},
		{"a: &a [*a]\n", "1:8: the alias *a stands inside of its own anchor"},
		{"a: !secret x\n", "1:4: unknown tag \"!secret\""},
		{"a: !!binary aGk=\n", "1:4: unknown tag \"!!binary\""},
		{"a: !x!y z\n", "1:4: an unknown tag"},
		{"\ta: 1\n", "1:1: a tab in the indentation"},
		{"a:\n  b: 1\n\tc: 2\n", "3:1: a tab in the indentation"},
		{"a:\r\n  - b\r\n\t- c\r\n", "3:1: a tab in the indentation"},
		{"a: |\n\tx\n", "2:1: a tab in the indentation"},
		{"a: | x\n  y\n", "1:6: no text can stand in the line of | or >"},
		{"a: 'x'#y\n", "1:7: a # right behind a value"},
		{"a: 1\n... x\n", "2:5: text behind the ... that ends a document"},
		{"%x: 1\n", "1:1: a line that begins with % is a directive of YAML"},
		{"%YAML 2.0\n---\na: b\n", "1:1: the directive asks for a version other than YAML 1.2"},
		{"%YAML 1.2\n%YAML 1.2\n---\na: b\n", "2:1: a second %YAML directive"},
		{"a: \x00\n", "1:4: control character U+0000 is not allowed"},
		{"a: 1\rb: \x7f\n", "2:4: control character U+007F is not allowed"},
		{"a: ü\xff\n", "1:5: byte 0xff is not UTF-8"},
		{"a: \uffff\n", "1:4: control character U+FFFF is not allowed"},
		{"a: 1\n\ufeffb: 1\n", "2:1: a byte order mark"},
		{encode16("a: 1\n", true), "1:1: the text is UTF-16, but UTF-8 belongs here"},
		{encode16("a: 1\n", false), "1:1: the text is UTF-16, but UTF-8 belongs here"},
		{encode16("\ufeffa: 1\n", true), "1:1: the text is UTF-16, but UTF-8 belongs here"},
	} {
		_, err := parseYAML(c.text)
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("the error of %q is\n%v, want\n%s", c.text, err, c.want)
		}
	}
}

// encode16 writes text in UTF-16.
func encode16(text string, little bool) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(text)) {
		if little {
			out = append(out, byte(u), byte(u>>8))
		} else {
			out = append(out, byte(u>>8), byte(u))
		}
	}
	return string(out)
}

// show writes a document on one line: texts quoted, what its text decides the type of plain, each with its place.
func show(n *node) string {
	var parts []string
	switch n.kind {
	case scalarNode:
		text := n.text
		if n.scalarType() == textType {
			text = fmt.Sprintf("%q", text)
		}
		return fmt.Sprintf("%s@%d:%d", text, n.line, n.col)
	case listNode:
		for _, i := range n.items {
			parts = append(parts, show(i))
		}
		return "[" + strings.Join(parts, " ") + "]"
	default:
		for _, p := range n.pairs {
			parts = append(parts, show(p.key)+"="+show(p.value))
		}
		return "{" + strings.Join(parts, " ") + "}"
	}
}

func TestParseYAMLReadsWhatIsWritten(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"words of YAML 1.1", "on: yes\n", `{"on"@1:1="yes"@1:5}`},
		{"words of YAML 1.1 in a list", "[no, off, y, N, On]\n", `["no"@1:2 "off"@1:6 "y"@1:11 "N"@1:14 "On"@1:17]`},
		{"words of YAML 1.1, asked for", "%YAML 1.1\n---\na: yes\n", `{"a"@3:1="yes"@3:4}`},
		{"numbers of YAML 1.1", "[0b1, 1_000, 1:30, 0o17, 0x1F]\n", `["0b1"@1:2 "1_000"@1:7 "1:30"@1:14 0o17@1:20 0x1F@1:26]`},
		{"dates", "a: 2024-01-01\n", `{"a"@1:1="2024-01-01"@1:4}`},
		{"a version", "%YAML 1.2 # c\n---\na: 1\n...\n# c\n%YAML 1.2\n---\nb: 2\n", `{"a"@3:1=1@3:4}{"b"@8:1=2@8:4}`},
		{"a text that looks like a version", "a: |\n  %YAML 1.2\n", `{"a"@1:1="%YAML 1.2\n"@1:4}`},
		{"tagged texts", "[! 12, !!str 12, !<tag:yaml.org,2002:str> 12, !!int \"12\", !!str ]\n", `["12"@1:2 "12"@1:8 "12"@1:18 "12"@1:47 ""@1:59]`},
		{"line ends of Windows", "a: 1 # c\r\n# d\r\nb:\r\n  - |\r\n    x\r\n    y\r\n  - \"p\r\n    q\"\r\n", `{"a"@1:1=1@1:4 "b"@3:1=["x\ny\n"@4:5 "p q"@7:5]}`},
		{"line ends of old", "a: 1\rb: 2\r", `{"a"@1:1=1@1:4 "b"@2:1=2@2:4}`},
		{"a byte order mark", "\ufeffa: 1\n", `{"a"@1:1=1@1:4}`},
		{"a byte order mark in a value", "a: x\ufeffy\n", "{\"a\"@1:1=\"x\\ufeffy\"@1:4}"},
		{"two files put together", "a: 1\n\ufeff---\nb: 2\n", `{"a"@1:1=1@1:4}{"b"@3:1=2@3:4}`},
		{"breaks of YAML 1.1", "a: x\u2028y\u0085\nb: \"\u2029\"\n", `{"a"@1:1="x\u2028y\u0085"@1:4 "b"@2:1="\u2029"@2:4}`},
		{"escaped breaks", `a: "\L\P\N"`, `{"a"@1:1="\u2028\u2029\u0085"@1:4}`},
		{"tabs between", "a:\t1\t# c\nb: x\ty\n", `{"a"@1:1=1@1:4 "b"@2:1="x\ty"@2:4}`},
		{"keys behind question marks", "? a\n: b\n? |\n  c\n: d\n", `{"a"@1:3="b"@2:3 "c\n"@3:3="d"@5:3}`},
		{"keys alone", "{a, b: }\n", `{"a"@1:2=@1:3 "b"@1:5=@1:8}`},
		{"anchors", "a: &x {b: 1}\nc: *x\nd: &x 2\ne: *x\n", `{"a"@1:1={"b"@1:8=1@1:11} "c"@2:1={"b"@1:8=1@1:11} "d"@3:1=2@3:4 "e"@4:1=2@3:4}`},
		{"an alias as a key", "a: &x b\n*x : c\n", `{"a"@1:1="b"@1:4 "b"@1:4="c"@2:6}`},
		{"merge keys", "<<: {a: 1}\n'<<': 2\n", `{"<<"@1:1={"a"@1:6=1@1:9} "<<"@2:1=2@2:7}`},
		{"duplicate keys", "a: 1\na: 2\n", `{"a"@1:1=1@1:4 "a"@2:1=2@2:4}`},
		{"documents", "# c\n---\n---\na\n...\n...\n--- b\n--- |\n c\n---\nnull\n", `"a"@4:1"b"@7:5"c\n"@8:5`},
		{"block scalars", "a: |-\n  x\n   y\n\nb: >+\n  x\n  y\n\nc: |2\n    x\n", `{"a"@1:1="x\n y"@1:4 "b"@5:1="x y\n\n"@5:4 "c"@9:1="  x\n"@9:4}`},
		{"a value over lines", "a: x\n  y\n\n  z\n", `{"a"@1:1="x y\nz"@1:4}`},
		{"comments", "a: # c\n  # d\n  - b # e\n  # f\n# g\nc: d # h", `{"a"@1:1=["b"@3:5] "c"@6:1="d"@6:4}`},
		{"JSON", "\n{\"a\": [1, {\"b\":\"x\\/\\u00e9\"}],\n \"c\": null}\n", `{"a"@2:2=[1@2:8 {"b"@2:12="x/é"@2:16}] "c"@3:2=null@3:7}`},
		{"text outside of ASCII", "größe: [ü, 😀, \"é\"]\n", `{"größe"@1:1=["ü"@1:9 "😀"@1:12 "é"@1:15]}`},
		{"a long key", strings.Repeat("k", 2000) + ": 1\n", `{"` + strings.Repeat("k", 2000) + `"@1:1=1@1:2003}`},
		{"nothing", "\n# c\n", ""},
	} {
		docs, err := parseYAML(c.text)
		if err != nil {
			t.Errorf("%s: %q has the error %v", c.name, c.text, err)
			continue
		}
		var got strings.Builder
		for _, d := range docs {
			got.WriteString(show(d))
		}
		if got.String() != c.want {
			t.Errorf("%s: %q reads as\n%s, want\n%s", c.name, c.text, got.String(), c.want)
		}
	}
}

func TestParseYAMLKnowsWhichTextsStandOnOneLine(t *testing.T) {
	for text, want := range map[string]bool{
		"a: b=@x&c=@y z\n":     true,
		"a: b=@x\n  &c=@y\n":   false,
		"a: b=@x\n\n  &c=@y\n": false,
		"a: 'b=@x&c'\n":        false,
		"a: !!str b=@x&c\n":    false,
		"a: &n b=@x&c\n":       false,
		"a: |\n  b=@x&c\n":     false,
		"{a: b=@x&c d}\n":      true,
		"a: ü\tb\n":            true,
	} {
		docs, err := parseYAML(text)
		if err != nil || len(docs) != 1 {
			t.Errorf("%q has %d documents and the error %v", text, len(docs), err)
			continue
		}
		if n := docs[0].pairs[0].value; n.inline != want {
			t.Errorf("%q: the value %q stands on one line as it is: %t, want %t", text, n.text, n.inline, want)
		}
	}
}

// read is the single document of a text.
func read(t *testing.T, text string) *node {
	t.Helper()
	docs, err := parseYAML(text)
	if err != nil || len(docs) != 1 {
		t.Fatalf("%q has %d documents and the error %v, want one and none", text, len(docs), err)
	}
	return docs[0]
}

var places = regexp.MustCompile(`@\d+:\d+`)

func TestParseYAMLLeavesOutComments(t *testing.T) {
	raw, err := os.ReadFile("../testdata/rules/good.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	placed := show(read(t, text))
	want := places.ReplaceAllString(placed, "")
	if got := show(read(t, strings.ReplaceAll(text, "\n", "\r\n"))); got != placed {
		t.Errorf("with the line ends of Windows the file reads as\n%s, want\n%s", got, placed)
	}
	lines := strings.SplitAfter(text, "\n")
	for i := range lines {
		for _, comment := range []string{"# c\n", "  # c\n", "      # c\n\n", "\n\n            # c\n# d\n", "    # c\r\n\r\n  # d\r\n"} {
			with := strings.Join(lines[:i], "") + comment + strings.Join(lines[i:], "")
			if got := places.ReplaceAllString(show(read(t, with)), ""); got != want {
				t.Errorf("with %q before line %d the file reads as\n%s, want\n%s", comment, i+1, got, want)
			}
		}
	}
}
