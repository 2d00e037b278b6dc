package template_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"bellhop/template"
)

func TestAppendFormASCII(t *testing.T) {
	const bare = "*-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for c := range byte(0x80) {
		want := fmt.Sprintf("%%%02X", c)
		if strings.IndexByte(bare, c) >= 0 {
			want = string(c)
		} else if c == ' ' {
			want = "+"
		}
		want = want + "=" + want
		if got := string(template.AppendForm(nil, string(c), []byte{c})); got != want {
			t.Errorf("AppendForm of byte %#02x = %s, want %s", c, got, want)
		}
	}
}

func TestAppendForm(t *testing.T) {
	for _, tt := range []struct {
		pairs []template.Pair
		want  string
	}{
		{nil, ""},
		{[]template.Pair{{"a", "1"}, {"b", "2"}}, "a=1&b=2"},
		{[]template.Pair{{"a", "1"}, {"a", "1"}, {"a", ""}}, "a=1&a=1&a="},
		{[]template.Pair{{"", ""}, {"", "x"}}, "=&=x"},
		{[]template.Pair{{"a&b=c", "d&e=f+g h%"}}, "a%26b%3Dc=d%26e%3Df%2Bg+h%25"},
		{[]template.Pair{{"student", "Ștefan €"}}, "student=%C8%98tefan+%E2%82%AC"},
		{[]template.Pair{{"\u007f\u0080", "\u07ff\u0800\uffff"}}, "%7F%C2%80=%DF%BF%E0%A0%80%EF%BF%BF"},
		{[]template.Pair{{"𐀀", "😀\U0010ffff"}}, "%F0%90%80%80=%F0%9F%98%80%F4%8F%BF%BF"},
		{[]template.Pair{{"\ufeff", "\r\n\x00"}}, "%EF%BB%BF=%0D%0A%00"},
		{[]template.Pair{{"~!'()", "*-._"}}, "%7E%21%27%28%29=*-._"},
	} {
		var got []byte
		for _, p := range tt.pairs {
			got = template.AppendForm(got, p.Name, []byte(p.Value))
		}
		if string(got) != tt.want {
			t.Errorf("AppendForm of %q = %s, want %s", tt.pairs, got, tt.want)
		}
		if back := template.ParseForm(got); !slices.Equal(back, tt.pairs) {
			t.Errorf("ParseForm(%s) = %q, want %q", got, back, tt.pairs)
		}
	}
}

func TestAppendFormInvalidUTF8(t *testing.T) {
	for text, replacements := range map[string]int{
		"\x80": 1, "\xff": 1, "\xc0\xaf": 2, "\xc3": 1, "\xe2\x82": 1, "\xe2\x82\xe2\x82": 2, "\xf0\x9f\x98": 1,
		"\xe0\x80\x80": 3, "\xed\xa0\x80": 3, "\xf4\x90\x80\x80": 4, "\xf0\x80\x80\x80": 4, "\xf5\x80": 2,
	} {
		want := "a=x" + strings.Repeat("%EF%BF%BD", replacements) + "y"
		if got := string(template.AppendForm(nil, "a", []byte("x"+text+"y"))); got != want {
			t.Errorf("AppendForm of bytes %x = %s, want %s", text, got, want)
		}
		pairs := []template.Pair{{"a", "x" + strings.Repeat("\ufffd", replacements) + "y"}}
		if got := template.ParseForm([]byte("a=x" + text + "y")); !slices.Equal(got, pairs) {
			t.Errorf("ParseForm with bytes %x = %q, want %q", text, got, pairs)
		}
	}
}

func TestParseForm(t *testing.T) {
	for body, want := range map[string][]template.Pair{
		"":                nil,
		"&":               nil,
		"&&a&&":           {{"a", ""}},
		"a=b=c":           {{"a", "b=c"}},
		"=":               {{"", ""}},
		"a+b=c+%2B":       {{"a b", "c +"}},
		"a=%&b=%1&c=%zz":  {{"a", "%"}, {"b", "%1"}, {"c", "%zz"}},
		"a=%e2%82%AC":     {{"a", "€"}},
		"a=%E2%82&b=%FFx": {{"a", "\ufffd"}, {"b", "\ufffdx"}},
		"%EF%BB%BFa=1":    {{"\ufeffa", "1"}},
		"ș=€":             {{"ș", "€"}},
	} {
		if got := template.ParseForm([]byte(body)); !slices.Equal(got, want) {
			t.Errorf("ParseForm(%q) = %q, want %q", body, got, want)
		}
	}
}
