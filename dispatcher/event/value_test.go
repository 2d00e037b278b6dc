package event_test

import (
	"fmt"
	"strings"
	"testing"

	"bellhop/dispatcher/event"
)

func TestLookup(t *testing.T) {
	v := mustParse(t, `{"user":{"name":"Ada","organization":{"name":"Acme"},"tags":["vip"],"none":null,"password":"x"},"a.b":1,"n":5}`)
	for _, tt := range []struct {
		path string
		kind event.Kind
		text string
	}{
		{"user.name", event.String, "Ada"},
		{"user.organization.name", event.String, "Acme"},
		{"user", event.Object, ""},
		{"user.none", event.Null, ""},
		{"user.none.deeper", event.Missing, ""},
		{"user.tags", event.List, ""},
		{"user.tags.0", event.Missing, ""},
		{"user.name.0", event.Missing, ""},
		{"user.Name", event.Missing, ""},
		{"user.password", event.Missing, ""},
		{"a.b", event.Missing, ""},
		{"n", event.Number, "5"},
		{"", event.Missing, ""},
	} {
		got := v.Lookup(strings.Split(tt.path, "."))
		if got.Kind() != tt.kind || got.Text() != tt.text {
			t.Errorf("Lookup(%s) = %v %q, want %v %q", tt.path, got.Kind(), got.Text(), tt.kind, tt.text)
		}
	}
	if got := v.Lookup(nil).Kind(); got != event.Object {
		t.Errorf("Lookup of no path = %v, want the object itself", got)
	}
	var missing event.Value
	if got := missing.Lookup([]string{"a"}).Kind(); got != event.Missing {
		t.Errorf("Lookup in a missing value = %v, want missing", got)
	}
}

func TestFieldAroundTheIndex(t *testing.T) {
	for n := range 40 {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"k%d":%d`, i, i))
		}
		v := mustParse(t, "{"+strings.Join(members, ",")+"}")
		for i := range n {
			if got := v.Field(fmt.Sprintf("k%d", i)).Text(); got != fmt.Sprint(i) {
				t.Errorf("of %d members Field(k%d) = %q, want %d", n, i, got, i)
			}
		}
		if got := v.Field("k").Kind(); got != event.Missing {
			t.Errorf("of %d members Field(k) is %v, want missing", n, got)
		}
	}
}

func TestAppendText(t *testing.T) {
	for text, want := range map[string]string{
		`"a \"b\" é"`:             `a "b" é`,
		`12.50`:                   "12.50",
		`true`:                    "true",
		`false`:                   "false",
		`null`:                    "",
		`[]`:                      "",
		`["a","b"]`:               "a,b",
		`[1,null,true,"x,y"]`:     "1,,true,x,y",
		`[{"a":"b"},[1,null,[]]]`: `{"a":"b"},[1,null,[]]`,
		`{"b":1,"a":[null,"<"]}`:  `{"b":1,"a":[null,"<"]}`,
		`{}`:                      "{}",
	} {
		if got := string(mustParse(t, text).AppendText(nil)); got != want {
			t.Errorf("AppendText of %s = %q, want %q", text, got, want)
		}
	}
	var missing event.Value
	if got := string(missing.AppendText([]byte("x"))); got != "x" {
		t.Errorf("AppendText of a missing value to x = %q, want x", got)
	}
	if got := string(missing.AppendJSON(nil)); got != "null" {
		t.Errorf("AppendJSON of a missing value = %q, want null", got)
	}
	if got := string(event.Str(`a"b`).AppendJSON(nil)); got != `"a\"b"` {
		t.Errorf("AppendJSON of Str = %s, want it quoted", got)
	}
}

func TestKindString(t *testing.T) {
	for text, want := range map[string]string{
		`null`: "null", `true`: "boolean", `1`: "number", `""`: "string", `[]`: "list", `{}`: "object",
	} {
		if got := mustParse(t, text).Kind().String(); got != want {
			t.Errorf("the kind of %s is %q, want %q", text, got, want)
		}
	}
	if got := event.Missing.String(); got != "missing" {
		t.Errorf("Missing is %q, want missing", got)
	}
}
