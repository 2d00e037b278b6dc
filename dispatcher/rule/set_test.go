package rule_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"bellhop/dispatcher/rule"
)

func TestWebhookSecrets(t *testing.T) {
	file := `
rules:
- name: r
  on: course.completed
  webhooks:
  - {name: host, endpoint: "https://${HOST}/Hooks/course done?k=${TOKEN}&s=${SPACED}"}
  - {name: whole, endpoint: "${BASE}"}
  - {name: whole-path, endpoint: "${BASE}/done"}
  - {name: port, endpoint: "https://${HOST}:${PORT}/x"}
  - {name: file, endpoint: "https://crm.example.com/$5/{x}/${file:token}"}
  - {name: percent, endpoint: "https://crm.example.com/%${TOKEN}"}
  - name: headers
    endpoint: https://crm.example.com
    headers: {authorization: "Bearer ${TOKEN}", X-Price: "$5"}
    secret: ["${KEY}", "${KEY}"]
`
	set := compiled(t, file)
	for _, tt := range []struct{ name, shown, wire string }{
		{"host", "https://${HOST}/Hooks/course%20done?k=${TOKEN}&s=${SPACED}", "https://crm.example.com/Hooks/course%20done?k=t0psecret&s=a%20b"},
		{"whole", "${BASE}", "https://crm.example.com/in"},
		{"whole-path", "${BASE}/done", "https://crm.example.com/in/done"},
		{"port", "https://${HOST}:${PORT}/x", "https://crm.example.com:8443/x"},
		{"file", "https://crm.example.com/$5/%7Bx%7D/${file:token}", "https://crm.example.com/$5/%7Bx%7D/from-file"},
		{"percent", "https://crm.example.com/%25${TOKEN}", "https://crm.example.com/%25t0psecret"},
	} {
		w := set.Find("r", tt.name)
		if w == nil || w.Endpoint != tt.shown || w.URL.Text != tt.wire {
			t.Errorf("webhook %s shows %q and goes to %q, want %q and %q", tt.name, w.Endpoint, w.URL.Text, tt.shown, tt.wire)
		}
	}
	w := set.Find("r", "headers")
	want := []rule.Header{{"authorization", "Bearer t0psecret", "Bearer ${TOKEN}"}, {"X-Price", "$5", "$5"}}
	if !reflect.DeepEqual(w.Headers, want) {
		t.Errorf("headers are %q, want %q", w.Headers, want)
	}
	if masked := fmt.Sprint(w.MaskedHeaders()); strings.Contains(masked, "t0psecret") || !strings.Contains(masked, "Bearer ${TOKEN}") {
		t.Errorf("masked headers are %s", masked)
	}
	if !w.Signed || w.Unresolved || len(w.Secrets) != 2 || len(w.Secrets[0]) != 24 {
		t.Errorf("signed %v, unresolved %v, keys %d; want two keys of 24 bytes", w.Signed, w.Unresolved, len(w.Secrets))
	}

	bare, problems := rule.Compile(definitions(t, file), rule.Options{Defaults: defaults})
	if bare == nil || bare.Version != set.Version {
		t.Fatalf("without secrets the set is %v: %v", bare, problems)
	}
	w = bare.Find("r", "headers")
	if !w.Unresolved || !w.Signed || w.Secrets != nil || w.Headers[0].Value != "Bearer ${TOKEN}" {
		t.Errorf("without secrets: unresolved %v, signed %v, headers %q", w.Unresolved, w.Signed, w.Headers)
	}
	if w = bare.Find("r", "host"); w.URL.Text != w.Endpoint || w.Endpoint != "https://${HOST}/Hooks/course%20done?k=${TOKEN}&s=${SPACED}" {
		t.Errorf("without secrets the endpoint is %q, shown %q", w.URL.Text, w.Endpoint)
	}
	for _, p := range problems {
		if p.Severity != rule.Warning || !strings.HasSuffix(p.Text, "is not resolved") {
			t.Errorf("without secrets: %s: %s", p.Path, p.Text)
		}
	}
}

// TestHeaderValues holds values to what goes out: space around them is none of them, and two dots are just a name's.
func TestHeaderValues(t *testing.T) {
	set, problems := rule.Compile(definitions(t, `rules:
- name: r
  on: course.completed
  webhooks:
  - endpoint: https://crm.example.com/
    headers: {A: "  pad\t", B: " ${file:v1..2} ", C: ""}
`), rule.Options{Defaults: defaults, Secret: vault(map[string]string{"file:v1..2": "val "})})
	if set == nil || len(problems) > 0 {
		t.Fatalf("Compile found %v", problems)
	}
	got := fmt.Sprintf("%q", set.Rules[0].Webhooks[0].Headers)
	if want := `[{"A" "pad" "pad"} {"B" "val" "${file:v1..2}"} {"C" "" ""}]`; got != want {
		t.Errorf("headers are %s, want %s", got, want)
	}
}

func TestDefaultsAndFind(t *testing.T) {
	set := compiled(t, `
rules:
- name: on
  on: [module.*, course.completed]
  webhooks:
  - {endpoint: https://a.example.com/}
  - {endpoint: https://b.example.com/, timeout: 1m30s, retries: 0}
- {name: "off", on: ">", enabled: false, webhooks: [{endpoint: https://c.example.com/}]}
`)
	w := set.Find("on", "webhook-1")
	if w == nil || w.Timeout != 10*time.Second || w.Retries != 10 || w.Rule.Name != "on" {
		t.Fatalf("Find(on, webhook-1) = %+v, want the daemon's defaults", w)
	}
	if w = set.Find("on", "webhook-2"); w.Timeout != 90*time.Second || w.Retries != 0 {
		t.Errorf("webhook-2 has timeout %v and retries %d, want its own", w.Timeout, w.Retries)
	}
	if set.Find("off", "webhook-1") != nil || set.Find("on", "webhook-3") != nil || set.Find("gone", "webhook-1") != nil {
		t.Error("Find gives a webhook that is not in force")
	}
	if len(set.Rules) != 2 {
		t.Errorf("the set has %d rules, want the disabled one too", len(set.Rules))
	}
}

func TestMatchByType(t *testing.T) {
	set := compiled(t, `
rules:
- {name: a, on: course.completed, webhooks: [{endpoint: https://x.example.com/}]}
- {name: b, on: [course.*, course.completed], webhooks: [{endpoint: https://x.example.com/}, {endpoint: https://x.example.com/}]}
- {name: c, on: order.paid, webhooks: [{endpoint: https://x.example.com/}]}
- {name: d, on: ">", include_archived: true, webhooks: [{endpoint: https://x.example.com/}]}
- {name: e, on: course.completed, webhooks: [{endpoint: https://x.example.com/}]}
- {name: f, on: "course.>", enabled: false, webhooks: [{endpoint: https://x.example.com/}]}
`)
	for _, tt := range []struct{ eventType, data, want string }{
		{"course.completed", `{}`, "a b b d e"},
		{"course.enrolled", `{}`, "b b d"},
		{"course", `{}`, "d"},
		{"order.paid", `{}`, "c d"},
		{"course.completed.twice", `{}`, "d"},
		{"course.completed", `{"user":{"archived":true}}`, "d"},
		{"course.completed", `{"user":{"archived":"true"}}`, "a b b d e"},
	} {
		for range 2 { // once planned, once remembered
			var names []string
			for _, w := range set.Match(ofType(t, tt.eventType, tt.data), nil) {
				names = append(names, w.Rule.Name)
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("Match(%s, %s) = %s, want %s", tt.eventType, tt.data, got, tt.want)
			}
		}
	}
	// Types come from publishers: any number of them must do no harm.
	for i := range 10_000 {
		if n := len(set.Match(ofType(t, fmt.Sprintf("course.x%d", i), `{}`), nil)); n != 3 {
			t.Fatalf("Match(course.x%d) gave %d webhooks, want 3", i, n)
		}
	}
	if n := len(set.Explain(ofType(t, "course.completed", `{}`))); n != 6 {
		t.Errorf("Explain gave %d verdicts, want the disabled rule's too", n)
	}
}

// TestMatchConcurrently has many goroutines share a set, its plans and its expressions; the race detector is the judge.
func TestMatchConcurrently(t *testing.T) {
	set := compiled(t, strings.Replace(withWhen(`"vip" in user.tags && score > 1`), "course.completed", `"*.*"`, 1))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				e := ofType(t, fmt.Sprintf("course.x%d", (i+j)%10), `{"user":{"tags":["vip"]},"score":2}`)
				if got := set.Match(e, nil); len(got) != 1 {
					t.Errorf("Match(%s) gave %d webhooks, want 1", e.Type, len(got))
				}
				set.Explain(e)
			}
		})
	}
	wg.Wait()
}

// TestMatchManyRules holds the lookup by fields' texts to judging every rule.
func TestMatchManyRules(t *testing.T) {
	var file strings.Builder
	file.WriteString("filters: {vip: {user.country: {in: [RO, US]}}}\nrules:\n")
	for i, filter := range []string{
		"{user.country: RO}", "{user.country: {in: [RO, RO, DE]}}", "{user.country: {in: [RO, 12]}}", "{user.country: 12}",
		"{user.country: {not_equals: RO}}", "{any: [{user.country: RO}]}", "{not: {user.country: RO}}", "vip", "{all: [vip, {score: 1}]}",
		"{score: 1, user.country: DE}", "{event.id: e-1}", "{event.id: e-2}", "{user.country: {starts_with: R}}", "{user.country: ''}",
		"{user: {exists: true}}", "{user.country: {exists: false}}", "{course.name: Go, user.country: RO}",
	} {
		for j, on := range []string{"course.completed", "course.*"} {
			fmt.Fprintf(&file, "- {name: r%d-%d, on: %s, filter: %s, webhooks: [{endpoint: https://x.example.com/}]}\n", i, j, on, filter)
		}
	}
	file.WriteString("- {name: bare, on: course.completed, webhooks: [{endpoint: https://x.example.com/}]}\n")
	set := compiled(t, file.String())
	for _, data := range []string{
		`{}`, `{"user":{"country":"RO"},"score":1}`, `{"user":{"country":"DE"},"score":1.0}`, `{"user":{"country":12}}`,
		`{"user":{"country":["RO"]}}`, `{"user":{"country":""}}`, `{"user":{"country":null}}`, `{"user":{"country":"RO"},"course":{"name":"Go"}}`,
	} {
		e := ofType(t, "course.completed", data)
		var want []*rule.Webhook
		for _, v := range set.Explain(e) {
			if v.Matched {
				want = append(want, v.Webhook)
			}
		}
		if got := set.Match(e, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("Match(%s) gives %d webhooks, and Explain says %d, or others", data, len(got), len(want))
		}
	}
}

func TestCanonical(t *testing.T) {
	const a = "filters: {b: {x: 1}, a: {y: {in: [1, '1']}}}\nrules:\n- {name: r2, on: course.completed, webhooks: [{endpoint: 'https://x.example.com/${TOKEN}', secret: '${KEY}'}]}\n"
	const b = "rules:\n- {name: r1, on: [module.*], filter: a, webhooks: [{endpoint: https://x.example.com/}]}\n"
	one := rule.Canonical(definitions(t, a, b))
	// The same in other files, in another order, with what may be left out written.
	other := rule.Canonical(definitions(t, "# moved\n\n"+b, `
rules:
- name: r2
  enabled: true
  include_archived: false
  on: [course.completed]
  webhooks: [{name: webhook-1, secret: ["${KEY}"], endpoint: "https://x.example.com/${TOKEN}"}]
filters:
  a: {y: {in: [1, "1"]}}
  b: {x: {equals: 1}}
`))
	if !bytes.Equal(one, other) {
		t.Errorf("the same rules have two canonical forms:\n%s\n%s", one, other)
	}
	for _, changed := range []string{
		strings.Replace(a, "[1, '1']", "['1', 1]", 1), strings.Replace(a, "x: 1", "x: '1'", 1),
		strings.Replace(a, "course.completed", "course.enrolled", 1), strings.Replace(a, "${TOKEN}", "${HOST}", 1),
		strings.Replace(a, "on: course", "enabled: false, on: course", 1), strings.Replace(a, "secret:", "when: 'true', secret:", 1),
	} {
		if bytes.Equal(rule.Canonical(definitions(t, changed, b)), one) {
			t.Errorf("another rule set has the same canonical form:\n%s", changed)
		}
	}
	inline := rule.Canonical(definitions(t, strings.Replace(a, "${KEY}", key24, 1)))
	if bytes.Contains(inline, []byte("AAAA")) {
		t.Errorf("the canonical form holds a secret that is written out: %s", inline)
	}
	// Stores, outcomes and the other daemons of a cluster know the rules by it: no change of the program may change it.
	const version = "85abf502a6a0"
	for _, set := range []*rule.Set{compiled(t, a, b), compiled(t, b, a)} {
		if set.Version != version {
			t.Errorf("version %q, want %q", set.Version, version)
		}
	}
}

func TestRender(t *testing.T) {
	set := compiled(t, `
rules:
- name: r
  on: course.completed
  webhooks:
  - endpoint: https://x.example.com/
    parameters:
    - {name: student, value: "@first_name @last_name"}
    - {name: a b, value: "@user.id"}
    - {name: student, value: 12.50}
    - {name: many, value: "@a @a,@a-@a @a@a @{a}x bob@example.com @@a @@@a x@a é@a @a @zzz @a.b. @9@a"}
  - {endpoint: https://x.example.com/}
`)
	e := ofType(t, "course.completed", `{"user":{"first_name":"Ann & Co=","last_name":"Ö","id":12.50},"a":"V"}`)
	want := "student=Ann+%26+Co%3D+%C3%96&a+b=12.50&student=12.50&many=" +
		"V+V%2CV-V+VV+Vx+bob%40example.com+%40a+%40V+xV+%C3%A9V+V+%40zzz+.+%409V"
	for _, prefix := range []string{"", "kept"} {
		got, err := set.Rules[0].Webhooks[0].Render([]byte(prefix), e)
		if err != nil || string(got) != prefix+want {
			t.Errorf("Render = %q, %v; want\n%q", got, err, prefix+want)
		}
	}
	if got, err := set.Rules[0].Webhooks[1].Render(nil, e); err != nil || len(got) != 0 {
		t.Errorf("Render without parameters = %q, %v; want nothing", got, err)
	}
}

func TestRenderStopsEarly(t *testing.T) {
	big := `{"a":"` + strings.Repeat("x", 1<<20) + `"}`
	for _, value := range []string{strings.Repeat("@a ", 5000), strings.Repeat("@a", 5000), strings.Repeat("@{a}", 5000), "@a @a @a @a @a @a @a @a @a"} {
		set := compiled(t, "rules:\n- {name: r, on: course.completed, webhooks: [{endpoint: https://x.example.com/, parameters: {p: \""+value+"\"}}]}\n")
		body, err := set.Rules[0].Webhooks[0].Render([]byte("kept"), ofType(t, "course.completed", big))
		var tooLarge *rule.BodyError
		if !errors.As(err, &tooLarge) || string(body) != "kept" || tooLarge.Size <= rule.MaxBody || tooLarge.Size > 2*rule.MaxBody {
			t.Errorf("Render(%.12s...) = %d bytes, %v; want it stopped soon after %d", value, len(body), err, rule.MaxBody)
		}
	}
	want := "body of at least 9000000 bytes, at most 8388608"
	if got := (&rule.BodyError{Size: 9000000}).Error(); got != want {
		t.Errorf("the error says %q, want %q", got, want)
	}
}

func TestSign(t *testing.T) {
	// The example of the Standard Webhooks specification's reference libraries.
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	const want = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	got := rule.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`), [][]byte{key})
	if got != want {
		t.Errorf("Sign = %s, want %s", got, want)
	}
	if got := rule.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`), [][]byte{key, key}); got != want+" "+want {
		t.Errorf("Sign with two keys = %s, want both, parted by a space", got)
	}
	if got := rule.Sign("id", 1, nil, nil); got != "" {
		t.Errorf("Sign without keys = %q, want nothing", got)
	}
}

func BenchmarkMatch(b *testing.B) {
	countries := []string{"RO", "US", "DE", "FR", "IT", "ES", "PT", "SE", "NO", "FI"}
	for _, n := range []int{10, 10_000} {
		var file strings.Builder
		file.WriteString("rules:\n")
		for i := range n {
			fmt.Fprintf(&file, "- {name: r%d, on: course.completed, filter: {user.country: {in: [%s, XX]}, score: {gte: %d}}, webhooks: [{endpoint: https://x.example.com/}]}\n",
				i, countries[i%len(countries)], i%100)
		}
		set := compiled(b, file.String())
		e := ofType(b, "course.completed", `{"user":{"id":1,"country":"US"},"score":42.5}`)
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			var dst []*rule.Webhook
			for b.Loop() {
				dst = set.Match(e, dst[:0])
			}
		})
	}
	when := compiled(b, withWhen(`score >= 80 && "vip" in user.tags`))
	e := ofType(b, "course.completed", `{"user":{"id":1,"tags":["a","vip"]},"score":81,"course":{"name":"x"}}`)
	b.Run("when", func(b *testing.B) {
		b.ReportAllocs()
		var dst []*rule.Webhook
		for b.Loop() {
			dst = when.Match(e, dst[:0])
		}
	})
}
