package template_test

import (
	"strings"
	"testing"

	"bellhop/template"
)

func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	for _, n := range template.Catalogue() {
		if seen[n.Name] {
			t.Errorf("the catalogue has %s twice", n.Name)
		}
		seen[n.Name] = true
		if len(n.Reads) == 0 || n.Doc == "" {
			t.Errorf("%s reads %v and is documented as %q, want both", n.Name, n.Reads, n.Doc)
		}
		if !template.Known(n.Name) {
			t.Errorf("Known(%s) = false, want true", n.Name)
		}
		if s := template.Parse("@" + n.Name).Suspects(); s != nil {
			t.Errorf("Suspects finds %v in @%s, which the catalogue has", s, n.Name)
		}
		// Whatever a short name reads is empty in an event without data, never left as written.
		if got := string(template.Parse("@"+n.Name).Append(nil, newEvent(t, "{}"))); strings.HasPrefix(got, "@") {
			t.Errorf("@%s renders as %q without data", n.Name, got)
		}
	}
	if len(seen) != 38 {
		t.Errorf("the catalogue has %d names, want 38", len(seen))
	}
}

func TestKnown(t *testing.T) {
	for name, want := range map[string]bool{
		"first_name": true, "class_code": true, "user": true, "user.id": true, "account.x.y": true,
		"": false, "userx": false, "user.": false, "user..id": false, "example.com": false, "event.type": false, "User": false,
	} {
		if got := template.Known(name); got != want {
			t.Errorf("Known(%q) = %v, want %v", name, got, want)
		}
	}
	for _, entity := range template.Entities() {
		if !template.Known(entity) {
			t.Errorf("Known(%q) = false, want true: it is an entity", entity)
		}
	}
}
