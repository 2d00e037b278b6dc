package template_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"bellhop/template"
)

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"", "@first_name @last_name", "@{user.organization}s", "bob@example.com", "@@@name", "@{", "@{}", "@user.tags.", "@frist_name", "@\xff",
		"@{a.b}@{c", "x@usr.name é@école.fr", "@last_name.txt", "@{user.x-y z}",
	} {
		f.Add(s)
	}
	full, empty := newEvent(f, learner), newEvent(f, "{}")
	f.Fuzz(func(t *testing.T, text string) {
		p := template.Parse(text)
		if p.Source() != text {
			t.Errorf("Parse(%q).Source = %q", text, p.Source())
		}
		rendered := p.Append(nil, full)
		p.Append(nil, empty)
		if !strings.Contains(text, "@") && string(rendered) != text {
			t.Errorf("constant text %q renders as %q", text, rendered)
		}
		if bytes.Contains(rendered, []byte("hunter2")) {
			t.Errorf("%q renders a password", text)
		}
		escaped := strings.ReplaceAll(text, "@", "@@")
		if got := string(template.Parse(escaped).Append(nil, full)); got != text {
			t.Errorf("%q renders as %q, want %q", escaped, got, text)
		}
		if utf8.ValidString(text) {
			want := template.AppendForm(nil, "n", rendered)
			if got, _ := p.AppendForm(nil, nil, "n", full); !bytes.Equal(got, want) {
				t.Errorf("%q serializes as %s, want %s", text, got, want)
			}
		}
		for _, s := range p.Suspects() {
			if text[s.Offset] != '@' || !strings.HasPrefix(strings.TrimPrefix(text[s.Offset+1:], "{"), s.Name) {
				t.Errorf("%q has a suspect %+v, which does not stand there", text, s)
			}
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("a", "1")
	f.Add("", "")
	f.Add("a&b=c", "d+e f%20")
	f.Add("ș", "€😀\xff\xe2\x82")
	f.Fuzz(func(t *testing.T, name, value string) {
		form := template.AppendForm(nil, name, []byte(value))
		form = template.AppendForm(form, value, []byte(name))
		for i, c := range form {
			if !strings.ContainsRune("*-._+%&=", rune(c)) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
				t.Fatalf("AppendForm(%q, %q) = %q: byte %d is not of the serialization", name, value, form, i)
			}
		}
		if strings.Count(string(form), "&") != 1 || strings.Count(string(form), "=") != 2 {
			t.Fatalf("AppendForm(%q, %q) = %s, want two pairs", name, value, form)
		}
		if utf8.ValidString(name) && utf8.ValidString(value) {
			want := []template.Pair{{Name: name, Value: value}, {Name: value, Value: name}}
			if got := template.ParseForm(form); !slices.Equal(got, want) {
				t.Errorf("ParseForm(%s) = %q, want %q", form, got, want)
			}
		}
		template.ParseForm([]byte(name)) // must take any bytes
	})
}
