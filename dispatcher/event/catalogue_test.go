package event_test

import (
	"strings"
	"testing"

	"bellhop/dispatcher/event"
)

func TestTypes(t *testing.T) {
	want := "course.enrolled course.unenrolled course.reenrolled course.completed course.inactive " +
		"module.added module.completed module.deleted section.added section.completed section.deleted " +
		"assessment.given assessment.submitted assessment.graded group.joined group.left " +
		"account.created account.updated account.archived account.deleted"
	if got := strings.Join(event.Types(), " "); got != want {
		t.Errorf("Types() = %s, want %s", got, want)
	}
	n := 0
	for _, entity := range event.Catalogue() {
		for _, action := range entity.Actions {
			n++
			if !event.Known(entity.Name + "." + action) {
				t.Errorf("Known(%s.%s) = false, want true", entity.Name, action)
			}
		}
	}
	if n != len(event.Types()) {
		t.Errorf("the catalogue has %d actions, and Types %d", n, len(event.Types()))
	}
	for _, unknown := range []string{"", "course", "course.", "course.started", "Course.completed", "course.completed.x"} {
		if event.Known(unknown) {
			t.Errorf("Known(%q) = true, want false", unknown)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"course.completed", "course.completed", true},
		{"course.completed", "course.Completed", false},
		{"course.completed", "course.completed.late", false},
		{"course.completed", "course", false},
		{"course.*", "course.completed", true},
		{"course.*", "course", false},
		{"course.*", "course.a.b", false},
		{"*.completed", "module.completed", true},
		{"*.completed", "module.added", false},
		{"*", "course", true},
		{"*", "course.completed", false},
		{"*.*", "course.completed", true},
		{"course.*.late", "course.completed.late", true},
		{"course.>", "course.completed", true},
		{"course.>", "course.a.b.c", true},
		{"course.>", "course", false},
		{"course.>", "courses.completed", false},
		{"*.>", "course.a.b", true},
		{">", "course", true},
		{">", "course.completed", true},
		{">.completed", "course.completed", false},
		{"cour*", "course", false},
		{"cour>", "course", false},
		{"", "", false},
		{"", "course", false},
		{">", "", false},
		{"*", "", false},
	} {
		if got := event.Match(tt.pattern, tt.eventType); got != tt.want {
			t.Errorf("Match(%q, %q) = %v, want %v", tt.pattern, tt.eventType, got, tt.want)
		}
	}
}
