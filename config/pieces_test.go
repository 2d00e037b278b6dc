package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

// inPieces reads a text in pieces of a size, and tells whether that was done.
func inPieces(text string, size int) (*rule.Definitions, []rule.Problem, bool) {
	s := shaper{name: "rules.yaml", defs: &rule.Definitions{}}
	done := s.pieces(rule.SourceFile{Path: s.name, Text: text}, size)
	return s.defs, s.problems, done
}

// comparePieces holds what is read in pieces to what is read as a whole. It tells whether pieces were read.
func comparePieces(t *testing.T, text string, size int) bool {
	t.Helper()
	got, problems, done := inPieces(text, size)
	if !done {
		if len(got.Rules)+len(got.Filters)+len(problems) > 0 {
			t.Errorf("what is not read in pieces left something behind: %v, %v\n%s", got, problems, text)
		}
		return false
	}
	whole := shaper{name: "rules.yaml", defs: &rule.Definitions{}}
	if !whole.whole(rule.SourceFile{Path: "rules.yaml", Text: text}) {
		t.Errorf("pieces of %d bytes are read of what is no YAML: %v\n%s", size, whole.problems, text)
		return true
	}
	// Both sorted as file does.
	sortProblems(problems)
	sortProblems(whole.problems)
	if !reflect.DeepEqual(problems, whole.problems) && len(problems)+len(whole.problems) > 0 {
		t.Errorf("pieces of %d bytes have the problems\n%v\nthe whole\n%v\n%s", size, problems, whole.problems, text)
	}
	if len(got.Rules) != len(whole.defs.Rules) || len(got.Rules) > 0 && !reflect.DeepEqual(got.Rules, whole.defs.Rules) {
		t.Errorf("pieces of %d bytes have the rules\n%+v\nthe whole\n%+v\n%s", size, got.Rules, whole.defs.Rules, text)
	}
	if !reflect.DeepEqual(got.Filters, whole.defs.Filters) {
		t.Errorf("pieces of %d bytes have the filters\n%+v\nthe whole\n%+v\n%s", size, got.Filters, whole.defs.Filters, text)
	}
	return true
}

const entry = "  - name: a\n    on: [x.y]\n    webhooks: [{endpoint: https://a.example.com/}]\n"

// piecesCases are files of rules, with whether they can be read in pieces.
var piecesCases = []struct {
	name, text string
	pieces     bool
}{
	{"plain", "rules:\n" + entry + entry + entry, true},
	{"no line end behind the last", "rules:\n" + entry + strings.TrimSuffix(entry, "\n"), true},
	{"at the margin", "rules:\n- name: a\n- name: b\n  on: x\n-\n  name: c\n", true},
	{"comments and empty lines", "# top\nrules: # of ours\n\n# first\n" + entry + "\n# second\n      # deep\n   \n" + entry + "\n\n", true},
	{"filters before", "filters:\n  a: {b: 1}\nrules:\n" + entry + entry, true},
	{"filters behind", "rules:\n" + entry + entry + "# and\nfilters:\n  a: {b: 1}\n", true},
	{"problems in the entries", "rules:\n" + entry + "  - nam: a\n    on: {}\n" + entry + "  - name: [a]\n    on: x\n", true},
	{"an unknown key behind", "rules:\n" + entry + entry + "filter: {}\n", true},
	{"document marks", "%YAML 1.2\n---\nrules:\n" + entry + entry + "...\n", true},
	{"block scalars", "rules:\n  - name: |\n      - b\n\n    description: >+\n      - c\n\n\n" + entry + "  - name: |+\n      x\n\n\n" + entry, true},
	{"anchors in one entry", "rules:\n  - name: &n a\n    description: *n\n" + entry, true},
	{"lists in entries", "rules:\n  - on:\n    - x.y\n    - x.z\n    name: a\n" + entry, true},
	{"wide characters", "rules:\n  - {name: é日本\u2028x, onn: 1}\n" + entry, true},
	{"an anchor of another entry", "rules:\n  - name: &n a\n" + entry + "  - name: *n\n", false},
	{"an anchor of the filters", "filters: {a: &f {b: 1}}\nrules:\n" + entry + "  - filter: *f\n", false},
	{"an alias behind the list", "filters: {a: &f {b: 1}}\nrules:\n  - filter: &f {c: 1}\n" + entry + "more: *f\n", false},
	{"a dash in a quoted text", "rules:\n  - name: \"a\n  - b\"\n" + entry, false},
	{"a dash in a quoted text of one piece", "rules:\n  - name: \"a\n  - b\n\"\n", false},
	{"a text that is all of the file", "|\nrules:\n" + entry, false},
	{"a quoted text around the key", "filters: \"\nrules:\n" + entry + "\"\n", false},
	{"the key twice", "rules:\n" + entry + "rules:\n" + entry, false},
	{"two documents", "rules:\n" + entry + "---\nrules:\n" + entry, false},
	{"an entry that is no mapping", "rules:\n  - a\n" + entry, false},
	{"no entries", "rules:\n", false},
	{"in brackets", "rules: [{name: a}]\n", false},
	{"less indented", "rules:\n" + entry + " - name: b\n", false},
	{"at two margins", "rules:\n" + entry + "- name: b\n", false},
	{"a tab", "rules:\n" + entry + "\tname: b\n", false},
	{"not YAML", "rules:\n" + entry + "  - {name: [}\n", false},
	{"not YAML behind", "rules:\n" + entry + "filters: {a: [}\n", false},
	{"carriage returns", strings.ReplaceAll("rules:\n"+entry+entry, "\n", "\r\n"), false},
	{"a control character", "rules:\n" + entry + "  - name: \x01\n", false},
}

func TestPieces(t *testing.T) {
	for _, c := range piecesCases {
		for _, size := range []int{0, 1, 100} {
			if len(c.text) <= size {
				continue
			}
			// A larger piece may have both ends of what reaches over several entries.
			if got := comparePieces(t, c.text, size); got != c.pieces && (c.pieces || size < 100) {
				t.Errorf("%s: read in pieces of %d bytes: %v, want %v\n%s", c.name, size, got, c.pieces, c.text)
			}
		}
	}
}

// TestPiecesRepeat holds what aliases repeat to its bound over all pieces together.
func TestPiecesRepeat(t *testing.T) {
	one := func(i int) string {
		return fmt.Sprintf("  - name: r%d\n    x0: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n    x1: &b [%[2]s]\n    x2: &c [%[3]s]\n    x3: [%[4]s]\n", i,
			strings.TrimSuffix(strings.Repeat("*a, ", 10), ", "), strings.TrimSuffix(strings.Repeat("*b, ", 10), ", "), strings.TrimSuffix(strings.Repeat("*c, ", 20), ", "))
	}
	for _, n := range []int{10, 30} {
		var b strings.Builder
		b.WriteString("rules:\n")
		for i := range n {
			b.WriteString(one(i))
		}
		_, whole := parse(b.String())
		_, _, done := inPieces(b.String(), 100)
		refused := len(whole) == 1 && strings.Contains(whole[0].Text, "aliases repeat more than")
		if done == refused {
			t.Errorf("%d entries: read in pieces: %v, refused as a whole: %v", n, done, refused)
		}
	}
}

// TestLargeFile reads a file that is large enough for pieces, with a problem near its end.
func TestLargeFile(t *testing.T) {
	text := manyRules(3000)
	if len(text) < 2*pieceSize {
		t.Fatalf("%d bytes, too few to be read in pieces", len(text))
	}
	defs, problems := parse(text + "  - name: last\n    on: x\n    webhook: []\n")
	if len(defs.Rules) != 3001 || defs.Rules[3000].Name.Text != "last" || defs.Rules[3000].Path != "rules[3000]" {
		t.Errorf("%d rules, the last %+v", len(defs.Rules), defs.Rules[len(defs.Rules)-1])
	}
	want := rule.Pos{File: "rules.yaml", Line: strings.Count(text, "\n") + 3, Column: 5}
	if len(problems) != 1 || problems[0].Pos != want || problems[0].Path != "rules[3000].webhook" {
		t.Errorf("problems %v, want one at %s", problems, want)
	}
}

// FuzzPieces holds any text to this: read in pieces it is what it is as a whole.
func FuzzPieces(f *testing.F) {
	for _, c := range piecesCases {
		f.Add(c.text, uint8(1))
	}
	for _, pattern := range []string{"../testdata/rules/*.yaml", "../testdata/rules/bad/*"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text), uint8(30))
		}
	}
	f.Fuzz(func(t *testing.T, text string, size uint8) { comparePieces(t, text, int(size)) })
}
