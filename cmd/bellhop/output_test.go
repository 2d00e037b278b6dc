package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain text":         "plain text",
		"Zoë Ω":              "Zoë Ω",
		"a\nb\tc":            `a\nb\tc`,
		"\x1b[31mred\x1b[0m": `\x1b[31mred\x1b[0m`,
		"bell\a":             `bell\a`,
		"right\u202eleft":    `right\u202eleft`,
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestPainterLeavesPipesAlone(t *testing.T) {
	if got := painter(&bytes.Buffer{})(red, "error"); got != "error" {
		t.Errorf("painter of no terminal gives %q, want no colour", got)
	}
}

func TestPrintJSONLeavesFormsReadable(t *testing.T) {
	var b bytes.Buffer
	headers := trialHeaders{{"webhook-id", "1"}, {"A", `<"&`}}
	if err := printJSON(&b, trialRequest{Method: "POST", Headers: headers, Body: "a=1&b=2"}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), `"a=1&b=2"`) {
		t.Errorf("printJSON = %s, want the & as it is", b.String())
	}
	if strings.Index(b.String(), "webhook-id") > strings.Index(b.String(), `"A"`) {
		t.Errorf("printJSON = %s, want the headers in their order", b.String())
	}
	var back struct{ Headers map[string]string }
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Headers["A"] != `<"&` {
		t.Errorf("printJSON reads back as %v, %v", back, err)
	}
}

func TestPrintError(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{errors.New("it broke"), "bellhop: it broke\n"},
		{withHint(errors.New("it broke"), "bellhop serve"), "bellhop: it broke\ntry: bellhop serve\n"},
		{fmt.Errorf("ask: %w", withHint(errors.New("it broke"), "bellhop serve")), "bellhop: ask: it broke\ntry: bellhop serve\n"},
		{errFound, ""},
	} {
		var b bytes.Buffer
		printError(&b, tt.err)
		if b.String() != tt.want {
			t.Errorf("printError(%v) prints %q, want %q", tt.err, b.String(), tt.want)
		}
	}
}
