package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"bellhop/dispatcher/rule"
)

// TestMistakes holds each kind of mistake to its place and words. A case is a rule file, or several parted by a line "===".
func TestMistakes(t *testing.T) {
	const hook = "  webhooks: [{endpoint: https://crm.example.com/}]\n"
	one := func(lines string) string { return "rules:\n- name: r\n" + lines }
	under := func(lines string) string {
		return one("  on: course.completed\n  webhooks:\n  - endpoint: https://crm.example.com/\n" + lines)
	}
	filtered := func(filter string) string { return one("  on: course.completed\n  filter: " + filter + "\n" + hook) }
	endpoint := func(url, more string) string {
		return one("  on: course.completed\n  webhooks:\n  - endpoint: " + url + "\n" + more)
	}
	deep := strings.Repeat("{not: ", 64) + "{a: 1}" + strings.Repeat("}", 64)
	doubling := "filters:\n  f0: {all: [{a: 1}, {b: 1}]}\n"
	for i := range 13 {
		doubling += fmt.Sprintf("  f%d: {any: [f%d, f%d]}\n", i+1, i, i)
	}
	for _, tt := range []struct {
		about, files string
		want         []string
	}{
		{"names", "rules:\n- name: Bad Name\n  on: course.completed\n" + hook,
			[]string{`a.yaml:2:9: error: rules[0].name: "Bad Name" is no name for a rule: 1 to 64 of a-z 0-9 - _`}},
		{"a name of 65 characters", "filters: {" + strings.Repeat("x", 65) + ": {a: 1}}\n",
			[]string{`a.yaml:1:11: error: filters.` + strings.Repeat("x", 65) + `: "` + strings.Repeat("x", 65) + `" is no name for a filter: 1 to 64 of a-z 0-9 - _`}},
		{"rules twice, in two files", one("  on: course.completed\n"+hook) + "===\n" + one("  on: course.completed\n"+hook),
			[]string{`b.yaml:2:9: error: rules[0].name: rule "r" is already defined at a.yaml:2:9`}},
		{"filters twice, in two files", "filters: {staff: {a: 1}}\n===\nfilters:\n  staff: {a: 1}\n",
			[]string{`b.yaml:2:3: error: filters.staff: filter "staff" is already defined at a.yaml:1:11`}},
		{"webhooks twice, one by its place", one("  on: course.completed\n  webhooks:\n  - {name: webhook-2, endpoint: https://a.example.com/}\n  - {endpoint: https://b.example.com/}\n"),
			[]string{`a.yaml:6:5: error: rules[0].webhooks[1]: webhook "webhook-2" is already defined in this rule at a.yaml:5:12`}},
		{"a bad webhook name", under("    name: A\n"),
			[]string{`a.yaml:6:11: error: rules[0].webhooks[0].name: "A" is no name for a webhook: 1 to 64 of a-z 0-9 - _`}},

		{"a bad pattern", one("  on: [course.>.x, course..y, '>', course.*]\n" + hook), []string{
			`a.yaml:3:8: error: rules[0].on[0]: "course.>.x" is no event type: tokens without spaces joined by dots; * is one token, a trailing > the rest`,
			`a.yaml:3:20: error: rules[0].on[1]: "course..y" is no event type: tokens without spaces joined by dots; * is one token, a trailing > the rest`}},
		{"a type outside the catalogue", one("  on: course.complete\n" + hook),
			[]string{`a.yaml:3:7: warning: rules[0].on: course.complete is not in the catalogue; did you mean course.completed?`}},
		{"a type with the subject's prefix", one("  on: [events.course.completed, order.paid, order.*]\n" + hook), []string{
			`a.yaml:3:8: warning: rules[0].on[0]: events.course.completed is not in the catalogue; did you mean course.completed, without the subject's prefix?`,
			`a.yaml:3:33: warning: rules[0].on[1]: order.paid is not in the catalogue`,
			`a.yaml:3:45: warning: rules[0].on[2]: order.* matches no type in the catalogue`}},

		{"a type that only NATS knows", one("  on: [kurs.beendet_ü, 'a:b/c.*']\n" + hook), []string{
			`a.yaml:3:8: warning: rules[0].on[0]: kurs.beendet_ü is not in the catalogue`,
			`a.yaml:3:24: warning: rules[0].on[1]: a:b/c.* matches no type in the catalogue`}},
		{"an encoding and an endpoint at once", endpoint("crm.example.com", "    encoding: utf-8\n"), []string{
			`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: no scheme: an endpoint begins with https:// or http://`,
			`a.yaml:6:15: error: rules[0].webhooks[0].encoding: encoding is normalize or literal, not "utf-8"`}},

		{"a dangling name", "filters: {staff: {a: 1}}\n" + filtered("staf"),
			[]string{`a.yaml:5:11: error: rules[0].filter: no filter is named "staf"; did you mean staff?`}},
		{"a dangling name with none near", filtered("{any: [vips]}"),
			[]string{`a.yaml:4:18: error: rules[0].filter.any[0]: no filter is named "vips"`}},
		{"a cycle", "filters:\n  a: b\n  b: {not: c}\n  c: {all: [a]}\n",
			[]string{`a.yaml:4:13: error: filters.c.all[0]: filter "a" uses itself: a > b > c > a`}},
		{"an empty filter", filtered("{}"),
			[]string{`a.yaml:4:11: error: rules[0].filter: an empty filter: name a path with its condition, or leave the filter out`}},
		{"empty lists", filtered("{all: [], any: [], a: {in: [], contains: []}}"), []string{
			`a.yaml:4:12: error: rules[0].filter.all: an empty list of filters`,
			`a.yaml:4:21: error: rules[0].filter.any: an empty list of filters`,
			`a.yaml:4:34: error: rules[0].filter.a.in: in with an empty list`,
			`a.yaml:4:42: error: rules[0].filter.a.contains: contains with an empty list`}},
		{"nesting", filtered(deep), []string{`a.yaml:4:395: error: rules[0].filter` + strings.Repeat(".not", 64) + `: filters nested deeper than 64`}},
		{"names that double", doubling, []string{
			`a.yaml:15:9: error: filters.f13.any: 16384 conditions, the names followed; at most 10000`}},
		{"operands of in and exists", filtered(`{a: {in: RO}, b: {exists: "yes"}, c: {not_in: 3}}`), []string{
			`a.yaml:4:20: error: rules[0].filter.a.in: in needs a list: [RO]`,
			`a.yaml:4:37: error: rules[0].filter.b.exists: exists needs true or false, not "yes"`,
			`a.yaml:4:57: error: rules[0].filter.c.not_in: not_in needs a list: [3]`}},
		{"lists where one value belongs", filtered(`{a: {equals: [1]}, b: {starts_with: [x]}, c: {gt: [1]}}`), []string{
			`a.yaml:4:16: error: rules[0].filter.a.equals: equals takes one value, not a list; in takes a list`,
			`a.yaml:4:34: error: rules[0].filter.b.starts_with: starts_with takes one value, not a list; any takes alternatives`,
			`a.yaml:4:57: error: rules[0].filter.c.gt: gt takes one value, not a list`}},
		{"operands of order", filtered(`{a: {gt: high}, b: {lte: true}, c: {lt: 2026-01-31}, d: {gte: .inf}}`), []string{
			`a.yaml:4:20: error: rules[0].filter.a.gt: gt needs a number or an RFC 3339 time (2026-01-31T08:00:00Z), not "high"`,
			`a.yaml:4:36: error: rules[0].filter.b.lte: lte needs a number or an RFC 3339 time (2026-01-31T08:00:00Z), not the boolean true`,
			`a.yaml:4:51: error: rules[0].filter.c.lt: lt needs a number or an RFC 3339 time (2026-01-31T08:00:00Z), not "2026-01-31"`,
			`a.yaml:4:73: error: rules[0].filter.d.gte: .inf is no number that an event can hold`}},
		{"operands of text", filtered(`{a: {starts_with: 40}, b: {matches: "("}, c: {matches: '(?=x)'}}`), []string{
			`a.yaml:4:29: error: rules[0].filter.a.starts_with: starts_with needs text, not the number 40; quote it`,
			"a.yaml:4:47: error: rules[0].filter.b.matches: matches: missing closing ): `(`",
			"a.yaml:4:66: error: rules[0].filter.c.matches: matches: invalid or unsupported Perl syntax: `(?=`"}},
		{"null", filtered(`{a: null, b: {not_equals: ~}, c: {in: [null]}}`), []string{
			`a.yaml:4:15: error: rules[0].filter.a: equals cannot ask for null, which counts as missing; use exists: false`,
			`a.yaml:4:37: error: rules[0].filter.b.not_equals: not_equals cannot ask for null, which counts as missing; use exists: true`,
			`a.yaml:4:50: error: rules[0].filter.c.in[0]: in cannot ask for null, which counts as missing; use exists: false`}},
		{"paths", filtered(`{user..x: 1, event.typ: x, event: x, event.type.x: 1, user.password: x}`), []string{
			`a.yaml:4:12: error: rules[0].filter.user..x: "user..x" is no path: names joined by dots, none of them empty`,
			`a.yaml:4:24: error: rules[0].filter.event.typ: event has no typ, only event.type, event.id, event.source and event.time; did you mean type?`,
			`a.yaml:4:38: error: rules[0].filter.event: event is no attribute of the envelope: event.type, event.id, event.source or event.time`,
			`a.yaml:4:48: error: rules[0].filter.event.type.x: event.type.x is no attribute of the envelope: event.type, event.id, event.source or event.time`,
			`a.yaml:4:65: warning: rules[0].filter.user.password: user.password is always missing: fields named password are never readable`}},

		{"a long endpoint", endpoint("https://crm.example.com/"+strings.Repeat("é", 237), ""),
			[]string{`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: 261 characters, at most 256`}},
		{"no endpoint at all", endpoint("ftp://crm.example.com/", ""),
			[]string{`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: `}},
		{"literal with escapes", endpoint("https://crm.example.com/a%20b/${TOKEN}", "    encoding: literal\n"),
			[]string{`a.yaml:5:15: warning: rules[0].webhooks[0].endpoint: percent escapes under literal are percent signs: goes out as https://crm.example.com/a%2520b/${TOKEN}`}},
		{"a forbidden address", endpoint("http://127.0.0.1:9000/", ""),
			[]string{`a.yaml:5:15: warning: rules[0].webhooks[0].endpoint: 127.0.0.1 will be refused: loopback; only the daemon's delivery.allow_networks can permit it`}},
		{"references", endpoint("https://crm.example.com/${A-B}", "    headers: {A: '${', B: '${file:../x}', C: '${}', D: '${GONE} ${GONE}', E: '${file:gone}'}\n"), []string{
			`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: "${A-B}" does not name a secret: letters, digits and _, or file: and a name`,
			`a.yaml:6:18: error: rules[0].webhooks[0].headers.A: ${ is never closed by }`,
			`a.yaml:6:27: error: rules[0].webhooks[0].headers.B: "${file:../x}" does not name a file in secrets_dir: a plain name, without slashes`,
			`a.yaml:6:46: error: rules[0].webhooks[0].headers.C: "${}" does not name a secret: letters, digits and _, or file: and a name`,
			`a.yaml:6:56: error: rules[0].webhooks[0].headers.D: ${GONE}: BELLHOP_SECRET_GONE is not set`,
			`a.yaml:6:78: error: rules[0].webhooks[0].headers.E: ${file:gone}: no such file in secrets_dir`}},
		{"every reference", endpoint("https://crm.example.com/${GONE}${B C}${file:..}${file:gone}", ""), []string{
			`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: "${B C}" does not name a secret: letters, digits and _, or file: and a name`,
			`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: "${file:..}" does not name a file in secrets_dir: a plain name, without slashes`,
			`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: ${GONE}: BELLHOP_SECRET_GONE is not set`,
			`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: ${file:gone}: no such file in secrets_dir`}},
		{"a secret that spoils the endpoint", endpoint("https://${PLAIN} x/", ""),
			[]string{`a.yaml:5:15: error: rules[0].webhooks[0].endpoint: `}},

		{"parameters", under("    parameters: {a: 'x @frist_name', b: \"é @first_nam.\", '': x}\n"), []string{
			`a.yaml:6:24: warning: rules[0].webhooks[0].parameters.a: @frist_name is no variable; did you mean @first_name?`,
			`a.yaml:6:44: warning: rules[0].webhooks[0].parameters.b: @first_nam is no variable; did you mean @first_name?`,
			`a.yaml:6:62: warning: rules[0].webhooks[0].parameters.: a parameter without a name`}},
		{"the string form's places", under("    parameters: \"a=1&b=@frist_name\"\n"),
			[]string{`a.yaml:6:24: warning: rules[0].webhooks[0].parameters[1]: @frist_name is no variable; did you mean @first_name?`}},
		{"an expression", under("    when: score >\n"),
			[]string{`a.yaml:6:11: error: rules[0].webhooks[0].when: unexpected token EOF (1:7)`}},
		{"settings", under("    timeout: 10\n    retries: 21\n    encoding: raw\n"), []string{
			`a.yaml:6:14: error: rules[0].webhooks[0].timeout: the number 10 is no duration: 10s, 1m30s, 500ms`,
			`a.yaml:7:14: error: rules[0].webhooks[0].retries: retries needs a whole number from 0 to 20, not the number 21`,
			`a.yaml:8:15: error: rules[0].webhooks[0].encoding: encoding is normalize or literal, not "raw"`}},
		{"settings out of bounds", under("    timeout: 0s\n    retries: -1\n"), []string{
			`a.yaml:6:14: error: rules[0].webhooks[0].timeout: 0s is out of bounds: 1ms to 10m`,
			`a.yaml:7:14: error: rules[0].webhooks[0].retries: retries needs a whole number from 0 to 20, not the number -1`}},
		{"headers that are Bellhop's", under("    headers:\n      content-TYPE: x\n      Webhook-Foo: x\n      Host: x\n      Connection: x\n"), []string{
			`a.yaml:7:7: error: rules[0].webhooks[0].headers.content-TYPE: content-TYPE cannot be set: Bellhop sets it`,
			`a.yaml:8:7: error: rules[0].webhooks[0].headers.Webhook-Foo: Webhook-Foo cannot be set: headers that begin with webhook- are Bellhop's`,
			`a.yaml:9:7: error: rules[0].webhooks[0].headers.Host: Host cannot be set: it is the endpoint's`,
			`a.yaml:10:7: error: rules[0].webhooks[0].headers.Connection: Connection cannot be set: it belongs to the connection`}},
		{"headers that are none", under("    headers:\n      X Y: x\n      X-A: x\n      x-a: y\n      X-B: \"a\\r\\nb\"\n      X-C: \"a\\0\"\n      X-D: 'Bearer ${BREAK}'\n"), []string{
			"a.yaml:7:7: error: rules[0].webhooks[0].headers.X Y: \"X Y\" is no header's name: letters, digits and !#$%&'*+-.^_`|~",
			`a.yaml:9:7: error: rules[0].webhooks[0].headers.x-a: x-a is already set at a.yaml:8:7`,
			`a.yaml:10:12: error: rules[0].webhooks[0].headers.X-B: the value holds a line break`,
			`a.yaml:11:12: error: rules[0].webhooks[0].headers.X-C: the value holds a NUL`,
			`a.yaml:12:12: error: rules[0].webhooks[0].headers.X-D: the value of ${BREAK} holds a line break`}},
		{"signing secrets", under("    secret: ['${PLAIN}', '${SHORT}', '${KEY}', " + key24 + ", 'x']\n"), []string{
			`a.yaml:6:14: error: rules[0].webhooks[0].secret[0]: the value of ${PLAIN} is not whsec_ and base64`,
			`a.yaml:6:26: warning: rules[0].webhooks[0].secret[1]: the value of ${SHORT} holds a key of 3 bytes; Standard Webhooks asks for 24 to 64`,
			`a.yaml:6:48: warning: rules[0].webhooks[0].secret[3]: a signing secret in a rule file is stored with its text: put it in a secret and write ${NAME}`,
			`a.yaml:6:88: error: rules[0].webhooks[0].secret[4]: the secret is not whsec_ and base64`}},
	} {
		set, got := check(t, strings.Split(tt.files, "===\n")...)
		if strings.Contains(strings.Join(got, "\n"), ": error: ") != (set == nil) {
			t.Errorf("%s: a set %v beside %q", tt.about, set != nil, got)
		}
		for i := range max(len(got), len(tt.want)) {
			g, w := "nothing", "nothing"
			if i < len(got) {
				g = got[i]
			}
			if i < len(tt.want) {
				w = tt.want[i]
			}
			// A want that ends where the endpoint room's words begin holds the place alone.
			if g != w && (!strings.HasSuffix(w, ".endpoint: ") || !strings.HasPrefix(g, w)) {
				t.Errorf("%s: problem %d is\n  %s, want\n  %s", tt.about, i, g, w)
			}
			for _, value := range []string{"t0psecret", "hush", "AAAA"} {
				if strings.Contains(g, value) {
					t.Errorf("%s: a problem shows a secret's value: %s", tt.about, g)
				}
			}
		}
	}
}

// TestHandmade compiles definitions that no rule file gives, as other programs may.
func TestHandmade(t *testing.T) {
	d := &rule.Definitions{
		Filters: []rule.FilterDef{{}, {Name: rule.Scalar{Text: "x", Type: rule.TextScalar}}},
		Rules: []rule.RuleDef{{Path: "rules[0]"}, {
			Path:     "rules[1]",
			Filter:   &rule.FilterNode{Entries: []rule.FilterEntry{{Key: rule.Scalar{Text: "a"}}, {Key: rule.Scalar{Text: "not"}}}},
			Webhooks: []rule.WebhookDef{{Path: "rules[1].webhooks[0]"}},
		}},
	}
	set, problems := rule.Compile(d, rule.Options{})
	if set != nil {
		t.Error("Compile accepts a rule without a name")
	}
	var texts []string
	for _, p := range problems {
		texts = append(texts, p.Path+": "+p.Text)
	}
	got := strings.Join(texts, "\n")
	for _, want := range []string{
		": a filter without a name", "rules[0]: a rule without a name", "rules[0].webhooks: a rule without webhooks",
		"rules[0].on: no event types", "a has no condition", "rules[1].webhooks[0].endpoint: a webhook without an endpoint",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the problems lack %q:\n%s", want, got)
		}
	}
	if set, problems := rule.Compile(&rule.Definitions{}, rule.Options{}); set == nil || len(problems) > 0 || len(set.Version) != 12 {
		t.Errorf("Compile of nothing = %v, %v; want an empty set", set, problems)
	}
}
