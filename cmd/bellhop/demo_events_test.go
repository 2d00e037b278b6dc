package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"bellhop/dispatcher/event"
	"bellhop/dispatcher/rule"
)

// demoSet compiles the sample rules as a demo does.
func demoSet(t *testing.T) *rule.Set {
	t.Helper()
	dir := t.TempDir()
	if err := layOut(dir, strings.NewReplacer(), make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	d := &demo{}
	cmd := newDemoCmd(&app{})
	if _, err := d.configure(&app{flags: cmd.Flags()}, dir); err != nil {
		t.Fatal(err)
	}
	return d.rules
}

func TestStory(t *testing.T) {
	set := demoSet(t)
	fired, types, encodings := map[string]int{}, map[string]bool{}, map[encoding]bool{}
	rejected, silent := 0, 0
	for n := range story {
		a, err := scripted(n, time.Unix(1700000000, 0))
		if err != nil {
			t.Fatal(err)
		}
		types[a.typ], encodings[a.encoding] = true, true
		e, err := a.decoded("EVENTS", time.Unix(0, 0), uint64(n+1), time.Unix(1700000001, 0))
		if (err != nil) != (a.encoding == torn) {
			t.Errorf("decode of event %d (%s, %s) = %v", n, a.typ, a.encoding, err)
		}
		if err != nil {
			rejected++
			continue
		}
		hooks := set.Match(e, nil)
		if len(hooks) == 0 {
			silent++
		}
		for _, w := range hooks {
			fired[w.Rule.Name]++
			if _, err := w.Render(nil, e); err != nil {
				t.Errorf("render %s for event %d: %v", w.Rule.Name, n, err)
			}
		}
	}
	for _, typ := range event.Types() {
		if !types[typ] {
			t.Errorf("the story has no %s", typ)
		}
	}
	for _, e := range []encoding{structured, binary, plain, nameless, torn} {
		if !encodings[e] {
			t.Errorf("the story has no event in %s", e)
		}
	}
	for _, r := range set.Rules {
		if fired[r.Name] == 0 {
			t.Errorf("rule %s fires for no event of the story", r.Name)
		}
	}
	if rejected == 0 || silent == 0 {
		t.Errorf("%d events of the story cannot be read and %d send nothing, want some of both", rejected, silent)
	}
}

func TestStoryBeginsWithAllThereIs(t *testing.T) {
	entities := map[string]bool{}
	archived := false
	for _, s := range story[:12] {
		entity, _, _ := strings.Cut(s.typ, ".")
		entities[entity] = true
		archived = archived || s.archived
	}
	if len(entities) != len(event.Catalogue()) || !archived {
		t.Errorf("the first dozen events are about %d entities (an archived user: %t), want all %d", len(entities), archived, len(event.Catalogue()))
	}
}

func TestScriptedKeepsDigits(t *testing.T) {
	a, err := scripted(0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, digits := range []string{`"price":12.50`, `"id":9007199254740993`} {
		if !bytes.Contains(a.msg.Data, []byte(digits)) {
			t.Errorf("the first event lacks %s: %s", digits, a.msg.Data)
		}
	}
}

func TestMishap(t *testing.T) {
	for _, tt := range []struct {
		m            mishap
		nth, attempt int
		want         bool
	}{
		{mishap{nth: 2, attempts: 1}, 1, 1, false},
		{mishap{nth: 2, attempts: 1}, 2, 1, true},
		{mishap{nth: 2, attempts: 1}, 2, 2, false},
		{mishap{nth: 2, attempts: 1}, 4, 1, false},
		{mishap{nth: 2, every: 3, attempts: 2}, 5, 2, true},
		{mishap{nth: 2, every: 3, attempts: 2}, 6, 1, false},
		{mishap{nth: 1, every: 1}, 7, 9, true},
	} {
		if got := tt.m.hits(tt.nth, tt.attempt); got != tt.want {
			t.Errorf("%+v hits attempt %d of delivery %d: %t, want %t", tt.m, tt.attempt, tt.nth, got, tt.want)
		}
	}
}
