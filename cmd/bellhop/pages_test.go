package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"bellhop/config"
)

// page reads a page of the documentation.
func page(t *testing.T, name ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// chapter is what follows a heading, up to the next one.
func chapter(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("no chapter %q", heading)
	}
	level, _, _ := strings.Cut(heading, " ")
	for line := range strings.Lines(rest) {
		if marks, _, ok := strings.Cut(line, " "); ok && marks != "" && strings.Trim(marks, "#") == "" && len(marks) <= len(level) {
			before, _, _ := strings.Cut(rest, line)
			return before
		}
	}
	return rest
}

// rows are the cells of the tables in a text, their headers left out.
func rows(text string) [][]string {
	var list [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		line = strings.ReplaceAll(strings.Trim(line, "|"), `\|`, "\x00")
		var cells []string
		for _, c := range strings.Split(line, "|") {
			cells = append(cells, strings.ReplaceAll(strings.TrimSpace(c), "\x00", "|"))
		}
		if strings.Trim(cells[0], "-") == "" && cells[0] != "" {
			list = list[:len(list)-1] // what came before was the header
			continue
		}
		list = append(list, cells)
	}
	return list
}

// code is the first thing in backticks, where the cell begins with it.
func code(cell string) (string, bool) {
	if !strings.HasPrefix(cell, "`") {
		return "", false
	}
	if rest, ok := strings.CutPrefix(cell, "`` "); ok {
		text, _, _ := strings.Cut(rest, " ``")
		return text, true
	}
	text, _, _ := strings.Cut(cell[1:], "`")
	return text, true
}

// blocks are the fenced blocks of a language.
func blocks(text, language string) []string {
	var list []string
	for {
		_, rest, ok := strings.Cut(text, "```"+language+"\n")
		if !ok {
			return list
		}
		block, after, _ := strings.Cut(rest, "```")
		list, text = append(list, block), after
	}
}

// tried is what rules test says of a webhook.
type tried struct {
	Rule    string
	Matched bool
	Reason  string
	Request struct{ URL, Body string }
}

// tryRules runs rules test with an event's data on rules, all of which are on its type.
func tryRules(t *testing.T, data, rules string) []tried {
	t.Helper()
	t.Chdir(t.TempDir())
	event := `{"specversion": "1.0", "id": "1", "type": "course.completed", "time": "2026-05-04T08:00:00Z", "data": ` + data + `}`
	if err := os.WriteFile("r.yaml", []byte("rules:\n"+rules), 0o600); err != nil {
		t.Fatal(err)
	}
	r := bellhop(t, event, "rules", "test", "--event", "-", "-o", "json", "r.yaml")
	var list []tried
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		t.Fatalf("rules test ends with %d: %v: %s%s\n%s", r.status, err, r.out, r.errors, rules)
	}
	return list
}

// quoted is a text as YAML takes it, whatever it holds.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// TestPagesConditions judges what the page on rules says of filters and expressions.
func TestPagesConditions(t *testing.T) {
	text := page(t, "docs", "rules.md")
	filters := chapter(t, text, "## Filters")
	var b strings.Builder
	var table [][]string
	for _, row := range rows(filters) {
		condition, _ := code(row[0])
		fmt.Fprintf(&b, "  - name: r%d\n    on: course.completed\n    filter:\n      %s\n    webhooks: [{endpoint: https://crm.example.com}]\n", len(table), condition)
		table = append(table, row)
	}
	for _, row := range rows(chapter(t, text, "## Expressions")) {
		expression, _ := code(row[0])
		fmt.Fprintf(&b, "  - name: r%d\n    on: course.completed\n    webhooks: [{endpoint: https://crm.example.com, when: %s}]\n", len(table), quoted(expression))
		table = append(table, row)
	}
	got := tryRules(t, blocks(filters, "json")[0], b.String())
	if len(got) != len(table) || len(table) < 35 {
		t.Fatalf("rules test judges %d webhooks of %d documented ones, want all of more than 35", len(got), len(table))
	}
	for i, row := range table {
		if want := row[1] == "yes"; got[i].Matched != want {
			t.Errorf("%s: matched = %t (%s), the page says %s", row[0], got[i].Matched, got[i].Reason, row[1])
		}
		if reason, ok := code(row[2]); ok && row[1] == "no" && !strings.Contains(got[i].Reason, strings.TrimPrefix(reason, "...")) {
			t.Errorf("%s: reason = %q, the page says %q", row[0], got[i].Reason, reason)
		}
	}
}

// TestPagesEndpoints encodes what the page on rules lists.
func TestPagesEndpoints(t *testing.T) {
	table := rows(chapter(t, page(t, "docs", "rules.md"), "## Endpoints"))
	var b strings.Builder
	for i, row := range table {
		written, _ := code(row[0])
		for _, encoding := range []string{"normalize", "literal"} {
			fmt.Fprintf(&b, "  - name: r%d-%s\n    on: course.completed\n    webhooks: [{endpoint: %s, encoding: %s}]\n", i, encoding, quoted(written), encoding)
		}
	}
	got := tryRules(t, "{}", b.String())
	if len(got) != 2*len(table) || len(table) < 8 {
		t.Fatalf("rules test shows %d requests for %d documented endpoints, want two each of more than 8", len(got), len(table))
	}
	for i, row := range table {
		for j, cell := range row[1:3] {
			if cell == "the same" {
				cell = row[1]
			}
			want, _ := code(cell)
			tail, cut := strings.CutPrefix(want, "...")
			if u := got[2*i+j].Request.URL; u != want && !(cut && strings.HasSuffix(u, "crm.example.com"+tail)) {
				t.Errorf("%s: goes to %s, the page says %s", row[0], u, want)
			}
		}
	}
}

// TestPagesVariables renders what the page on variables lists.
func TestPagesVariables(t *testing.T) {
	text := chapter(t, page(t, "docs", "variables.md"), "## How they are read")
	var b strings.Builder
	var table [][2]string
	for _, row := range rows(text) {
		for _, cell := range strings.Split(row[0], "`, `") {
			written := strings.Trim(cell, "`")
			want, _ := code(row[1])
			fmt.Fprintf(&b, "  - name: r%d\n    on: course.completed\n    webhooks: [{endpoint: https://crm.example.com, parameters: {v: %s}}]\n", len(table), quoted(written))
			table = append(table, [2]string{written, want})
		}
	}
	got := tryRules(t, blocks(text, "json")[0], b.String())
	if len(got) != len(table) || len(table) < 20 {
		t.Fatalf("rules test renders %d of %d documented values, want all of more than 20", len(got), len(table))
	}
	for i, row := range table {
		form, err := url.ParseQuery(got[i].Request.Body)
		if err != nil || form.Get("v") != row[1] {
			t.Errorf("%s becomes %q (%v), the page says %q", row[0], got[i].Request.Body, err, row[1])
		}
	}
}

// TestPagesRules checks the rule files that the pages show.
func TestPagesRules(t *testing.T) {
	files := 0
	for _, name := range []string{"docs/rules.md", "docs/requests.md", "docs/events.md", "docs/variables.md", "README.md"} {
		for _, block := range blocks(page(t, strings.Split(name, "/")...), "yaml") {
			if !strings.HasPrefix(block, "rules:") && !strings.HasPrefix(block, "filters:") {
				continue
			}
			files++
			t.Run(fmt.Sprint(name, files), func(t *testing.T) {
				t.Chdir(t.TempDir())
				if err := os.WriteFile("r.yaml", []byte(block), 0o600); err != nil {
					t.Fatal(err)
				}
				if r := bellhop(t, "", "rules", "check", "--no-secrets", "r.yaml"); r.status != exitDone {
					t.Errorf("rules check ends with %d: %s\n%s", r.status, r.out, block)
				}
			})
		}
	}
	if files < 3 {
		t.Errorf("%d rule files found in the pages, want 3 at least", files)
	}
}

// TestPagesConfiguration reads what the page on the configuration shows, and compares its table with the keys.
func TestPagesConfiguration(t *testing.T) {
	text := page(t, "docs", "configuration.md")
	documented := map[string]string{}
	for _, row := range rows(chapter(t, text, "## Every key")) {
		if key, ok := code(row[0]); ok {
			documented[key], _ = code(row[2])
		}
	}
	t.Chdir(t.TempDir())
	loaded, err := config.Load(config.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range loaded.Entries() {
		def, ok := documented[e.Path]
		if !ok {
			t.Errorf("%s is on no row of docs/configuration.md", e.Path)
		}
		if value := strings.Trim(e.Text(), "[]"); ok && strings.ReplaceAll(value, ", ", ",") != def {
			t.Errorf("docs/configuration.md says %s is %q unless set, it is %q", e.Path, def, e.Text())
		}
		delete(documented, e.Path)
	}
	for key := range documented {
		t.Errorf("docs/configuration.md documents %s, which is no key", key)
	}

	for i, block := range blocks(chapter(t, text, "## Examples"), "yaml") {
		name := fmt.Sprintf("c%d.yaml", i)
		// A token that beyond loopback comes from the environment.
		t.Setenv("BELLHOP_CONSOLE__TOKEN", "0123456789abcdef")
		if err := os.WriteFile(name, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := bellhop(t, "", "config", "check", "--config", name); r.status != exitDone {
			t.Errorf("config check ends with %d: %s\n%s", r.status, r.out, block)
		}
	}

	// The mistakes that it shows, and what is said of them.
	shown := ""
	for _, block := range blocks(text, "console") {
		if strings.HasPrefix(block, "$ cat bad.yaml\n") {
			shown = block
		}
	}
	file, rest, _ := strings.Cut(strings.TrimPrefix(shown, "$ cat bad.yaml\n"), "$ ")
	command, want, ok := strings.Cut(rest, "\n")
	if !ok || command != "bellhop config check --config bad.yaml" {
		t.Fatalf("docs/configuration.md shows no mistakes: %q", shown)
	}
	if err := os.WriteFile("bad.yaml", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BELLHOP_CONSOLE__TOKEN", "")
	if err := os.Unsetenv("BELLHOP_CONSOLE__TOKEN"); err != nil {
		t.Fatal(err)
	}
	if r := bellhop(t, "", "config", "check", "--config", "bad.yaml"); r.out != want {
		t.Errorf("config check prints\n%s, the page shows\n%s", r.out, want)
	}
}

// TestPagesDependencies compares the page on dependencies with go.mod: each direct one has its line, and no other.
func TestPagesDependencies(t *testing.T) {
	var direct []string
	for _, line := range regexp.MustCompile(`(?m)^(?:\t|require )([^\s()]+) v\S+$`).FindAllStringSubmatch(page(t, "go.mod"), -1) {
		direct = append(direct, line[1])
	}
	var documented []string
	for _, row := range rows(page(t, "docs", "dependencies.md")) {
		for _, cell := range strings.Split(row[0], ", ") {
			if module, ok := code(cell); ok {
				if strings.HasPrefix(module, "koanf/") {
					module = "github.com/knadh/" + module
				}
				documented = append(documented, module)
			}
		}
	}
	slices.Sort(direct)
	slices.Sort(documented)
	for _, m := range direct {
		if !slices.Contains(documented, m) {
			t.Errorf("%s has no line in docs/dependencies.md", m)
		}
	}
	for _, m := range documented {
		if !slices.Contains(direct, m) {
			t.Errorf("docs/dependencies.md has a line for %s, which go.mod does not ask for directly", m)
		}
	}
	if len(direct) < 10 {
		t.Errorf("%d direct dependencies found in go.mod, want 10 at least", len(direct))
	}
}
