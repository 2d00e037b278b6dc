package config

import (
	"errors"
	"testing"
)

func TestConsoleTokensAndOrigins(t *testing.T) {
	for _, tt := range []struct {
		name, text, wrong string
	}{
		{"three tokens", "console: {token: a, read_token: b, widget_token: c}", ""},
		{"a lesser token alone", "console: {read_token: b}", "console.read_token"},
		{"a widget's token alone", "console: {widget_token: b}", "console.widget_token"},
		{"the same twice", "console: {token: a, read_token: a}", "console.read_token"},
		{"the lesser ones the same", "console: {token: a, read_token: b, widget_token: b}", "console.widget_token"},
		{"origins", "console: {embed_origins: [\"https://portal.example.com\", \"http://localhost:3000\"]}", ""},
		{"a path", "console: {embed_origins: [\"https://portal.example.com/\"]}", "console.embed_origins"},
		{"any", "console: {embed_origins: [\"*\"]}", "console.embed_origins"},
		{"a second directive", "console: {embed_origins: [\"https://a.example.com; script-src *\"]}", "console.embed_origins"},
	} {
		_, err := load(t, tt.text, nil)
		var found *Problems
		switch {
		case tt.wrong == "" && err != nil:
			t.Errorf("%s: %v, want no problem", tt.name, err)
		case tt.wrong != "" && (!errors.As(err, &found) || len(found.List) != 1 || found.List[0].Path != tt.wrong):
			t.Errorf("%s: %v, want one problem, of %s", tt.name, err, tt.wrong)
		}
	}
}
