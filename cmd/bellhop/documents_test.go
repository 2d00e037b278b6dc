package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestSplitEvents(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       string // line:text of each, joined by |
		fails      string // or a part of the error
	}{
		{"one on one line", `{"a":1}`, `1:{"a":1}`, ""},
		{"one over many lines", "{\n  \"a\": 1\n}\n", "1:{\n  \"a\": 1\n}", ""},
		{"one behind blank lines", "\n\n {\"a\":1} \n\n", `3:{"a":1}`, ""},
		{"one a line", "{\"a\":1}\n{\"a\":2}\n", `1:{"a":1}|2:{"a":2}`, ""},
		{"blank lines between", "{\"a\":1}\r\n\r\n\t\n{\"a\":2}", `1:{"a":1}|4:{"a":2}`, ""},
		{"a list over many lines inside", "{\"a\":[\n{\"b\":1}\n]}", "1:{\"a\":[\n{\"b\":1}\n]}", ""},
		{"digits as they are", "{\"n\":9007199254740993}\n{\"n\":12.50}", `1:{"n":9007199254740993}|2:{"n":12.50}`, ""},
		{"nothing", "", "", "is empty"},
		{"blanks alone", " \n\t\n", "", "is empty"},
		{"a list", "[1]", "", "line 1: not a JSON object"},
		{"no JSON", "hello", "", "line 1: "},
		{"a list among lines", "{\"a\":1}\n[2]\n{\"a\":3}", "", "line 2: not a JSON object"},
		{"a mistake in the first line", "{\"a\":1\n{\"a\":2}\n", "", "line 1: "},
		{"a mistake in the last line", "{\"a\":1}\n\n{\"a\":2", "", "line 3: "},
		{"a mistake in one over many lines", "{\n \"a\": 1,\n}\n", "", "neither one JSON object nor one a line: "},
		{"invalid UTF-8", "{\"a\":\"\xff\"}", "", "line 1: "},
	} {
		docs, err := splitEvents([]byte(tt.text))
		if tt.fails != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fails) {
				t.Errorf("splitEvents(%s) fails with %v, want an error with %q", tt.name, err, tt.fails)
			}
			continue
		}
		var got []string
		for _, d := range docs {
			got = append(got, fmt.Sprintf("%d:%s", d.line, d.text))
		}
		if err != nil || strings.Join(got, "|") != tt.want {
			t.Errorf("splitEvents(%s) = %q, %v, want %q", tt.name, strings.Join(got, "|"), err, tt.want)
		}
	}
}

func FuzzSplitEvents(f *testing.F) {
	f.Add([]byte("{\"a\":1}\n{\"a\":2}"))
	f.Add([]byte("{\n\"a\":1}"))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		docs, err := splitEvents(text)
		if err != nil {
			return
		}
		if len(docs) == 0 {
			t.Fatalf("splitEvents(%q) gives nothing and no error", text)
		}
		for _, d := range docs {
			if !isObject(d.text) {
				t.Errorf("splitEvents(%q) gives %q, which is no object", text, d.text)
			}
		}
	})
}
