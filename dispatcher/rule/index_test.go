package rule_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

// maker makes up rule files and events in which much is equal, almost equal or equal in another spelling.
type maker struct{ *rand.Rand }

func (m maker) of(choices ...string) string { return choices[m.IntN(len(choices))] }

// some joins one to n of what make gives.
func (m maker) some(n int, make func() string) string {
	var all []string
	for range 1 + m.IntN(n) {
		all = append(all, make())
	}
	return strings.Join(all, ", ")
}

func (m maker) operand() string {
	return m.of("12", "12.0", "120e-1", "+12", "0xc", "0", "-0.0", "9007199254740993", "9007199254740992", "1e400", "-12", "'12'", "RO", "ro", "''",
		"true", "'true'", "false", "course.completed", "e-1", "/lms", "é")
}

func (m maker) condition() string {
	switch m.IntN(12) {
	case 0:
		return "{not_equals: " + m.operand() + "}"
	case 1:
		return "{not_in: [" + m.some(3, m.operand) + "]}"
	case 2:
		return "{exists: " + m.of("true", "false") + "}"
	case 3:
		return "{contains: " + m.operand() + "}"
	case 4:
		return "{gte: 12, equals: " + m.operand() + "}"
	case 5, 6, 7:
		return "{in: [" + m.some(4, m.operand) + "]}"
	}
	return m.operand()
}

func (m maker) path() string {
	return m.of("a", "b", "user.id", "user.country", "user.archived", "user", "user.password", "o.p.q", "event.type", "event.id", "event.source")
}

// filter makes a filter in flow style; names are those that it may stand on.
func (m maker) filter(depth, names int) string {
	if names > 0 && m.IntN(5) == 0 {
		return fmt.Sprintf("f%d", m.IntN(names))
	}
	if depth == 0 {
		return "{" + m.path() + ": " + m.condition() + "}"
	}
	inner := func() string { return m.filter(depth-1, names) }
	switch m.IntN(8) {
	case 0, 1:
		return "{all: [" + m.some(3, inner) + "]}"
	case 2, 3:
		return "{any: [" + m.some(3, inner) + "]}"
	case 4:
		return "{not: " + inner() + "}"
	case 5:
		return "{any: [" + m.some(3, inner) + "], " + m.path() + ": " + m.condition() + "}"
	}
	return "{" + m.path() + ": " + m.condition() + "}"
}

func (m maker) on() string {
	return "'" + m.of("course.completed", "course.*", "*.completed", "*.*", ">", "course.>", "*", "course", "module.added", "a.b.c", "a.*.c", "a.>",
		"*.b.c", "a.b.*", "*.*.c", "*.*.*", "a.b.>", "*.b.>", "*.>", "a.*.*", "a.*.>", "*.*.>") + "'"
}

func (m maker) rules(n int) string {
	var b strings.Builder
	b.WriteString("filters:\n")
	const names = 4
	for i := range names {
		fmt.Fprintf(&b, "  f%d: %s\n", i, m.filter(2, i))
	}
	b.WriteString("rules:\n")
	for i := range n {
		fmt.Fprintf(&b, "- {name: r%d, on: [%s], enabled: %v, include_archived: %v, ", i, m.some(3, m.on), m.IntN(10) > 0, m.IntN(3) == 0)
		if m.IntN(3) > 0 {
			fmt.Fprintf(&b, "filter: %s, ", m.filter(2, names))
		}
		b.WriteString("webhooks: [")
		for range 1 + m.IntN(3) {
			b.WriteString("{endpoint: https://x.example.com/")
			if m.IntN(2) == 0 {
				fmt.Fprintf(&b, ", filter: %s", m.filter(2, names))
			}
			if m.IntN(8) == 0 {
				b.WriteString(", when: a == 12")
			}
			b.WriteString("}, ")
		}
		b.WriteString("]}\n")
	}
	return b.String()
}

func (m maker) value(depth int) string {
	switch m.IntN(12) {
	case 0:
		return "null"
	case 1:
		return "[" + m.some(2, func() string { return m.value(0) }) + "]"
	case 2:
		if depth > 0 {
			return m.object(depth - 1)
		}
	case 3, 4:
		return m.of("true", "false")
	case 5, 6, 7:
		return m.of(`"12"`, `"RO"`, `"ro"`, `""`, `"true"`, `"é"`, `"\u00e9"`)
	}
	return m.of("12", "12.0", "1.2e1", "0.12E+2", "0", "-0", "0.000", "9007199254740993", "9007199254740992", "1e400", "1E400", "-12.00", "13")
}

func (m maker) object(depth int) string {
	var members []string
	for _, name := range []string{"a", "b", "o", "p", "q", "id", "country", "archived", "password", "x", "y", "z"} {
		if m.IntN(3) > 0 {
			members = append(members, fmt.Sprintf("%q: %s", name, m.value(depth)))
		}
	}
	if depth > 0 && m.IntN(5) > 0 {
		members = append(members, `"user": `+m.object(depth-1), `"event": {"type": "x"}`)
	}
	m.Shuffle(len(members), func(i, j int) { members[i], members[j] = members[j], members[i] })
	return "{" + strings.Join(members, ", ") + "}"
}

func (m maker) event(t testing.TB) *event.Event {
	e := ofType(t, m.of("course.completed", "course.enrolled", "module.added", "course", "a.b.c", "a.c", "x.y", "", "a.", "a..c", ".", "*.*"), m.object(2))
	e.ID = m.of("e-1", "12")
	e.Source = m.of("", "/lms", "12")
	return e
}

// agree holds what Match finds by its index to what Explain finds by judging every rule.
func agree(t *testing.T, seed uint64, rules, events int) (matched int) {
	t.Helper()
	m := maker{rand.New(rand.NewPCG(seed, 0))}
	file := m.rules(rules)
	set := compiled(t, file)
	for range events {
		e := m.event(t)
		var want []string
		for _, v := range set.Explain(e) {
			if v.Matched {
				want = append(want, v.Webhook.Rule.Name+"/"+v.Webhook.Name)
			}
		}
		var got []string
		for _, w := range set.Match(e, nil) {
			got = append(got, w.Rule.Name+"/"+w.Name)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("seed %d: for %q of type %q and source %q with %s\nMatch   = %v\nExplain = %v\n%s", seed, e.ID, e.Type, e.Source, e.Data.AppendJSON(nil), got, want, file)
		}
		matched += len(got)
	}
	return matched
}

func TestIndexAgrees(t *testing.T) {
	total := 0
	for seed := range uint64(200) {
		total += agree(t, seed, 1+int(seed%40), 20)
		if t.Failed() {
			return
		}
	}
	if total < 1000 {
		t.Errorf("only %d webhooks fired: the rules made up say nothing", total)
	}
}

func FuzzIndex(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(1000+seed, uint8(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64, rules uint8) { agree(t, seed, 1+int(rules%32), 10) })
}

// TestIndexAtScale holds the cost of a match to what it may fire: with 3,000 rules that each ask for another value, in
// every way that can be found by a value, no other rule is judged.
func TestIndexAtScale(t *testing.T) {
	for name, filter := range map[string]string{
		"equals":             "filter: {user.id: %d}",
		"in":                 "filter: {user.id: {in: [%d, x]}}",
		"all":                "filter: {all: [{user.country: RO}, {score: {gte: 1}}, {user.id: %d}]}",
		"any":                "filter: {any: [{user.id: %d}, {other: 1}]}",
		"named":              "filter: {all: [everybody, {user.id: %d}]}",
		"of the webhook":     "webhooks: [{endpoint: https://x.example.com/, filter: {user.id: %d}}]",
		"more selective one": "filter: {user.country: RO}, webhooks: [{endpoint: https://x.example.com/, filter: {user.id: %d}}]",
	} {
		t.Run(name, func(t *testing.T) {
			const rules = 3000
			var b strings.Builder
			b.WriteString("filters:\n  everybody: {any: [{user.country: RO}, {user.country: US}]}\nrules:\n")
			for i := range rules {
				one := fmt.Sprintf(filter, i)
				if !strings.Contains(one, "webhooks:") {
					one += ", webhooks: [{endpoint: https://x.example.com/}]"
				}
				fmt.Fprintf(&b, "- {name: r%d, on: [course.completed, 'module.*'], %s}\n", i, one)
			}
			set := compiled(t, b.String())
			for _, typ := range []string{"course.completed", "module.added"} {
				for _, id := range []int{0, 7, rules - 1} {
					e := ofType(t, typ, fmt.Sprintf(`{"user":{"id":%d.0,"country":"RO"},"score":2}`, id))
					got := set.Match(e, nil)
					if len(got) != 1 || got[0].Rule.Name != fmt.Sprintf("r%d", id) {
						t.Fatalf("Match found %d webhooks for the user %d, want the one of r%d", len(got), id, id)
					}
					if n := rule.Judged(set, e); n != 1 {
						t.Errorf("Match judged %d webhooks to find one", n)
					}
				}
			}
		})
	}
}
