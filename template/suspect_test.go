package template_test

import (
	"slices"
	"testing"

	"bellhop/template"
)

func TestSuspects(t *testing.T) {
	for text, want := range map[string][]template.Suspect{
		"@frist_name":                  {{Name: "frist_name", Offset: 0, Meant: "first_name"}},
		"@frst_nme":                    {{Name: "frst_nme", Offset: 0, Meant: "first_name"}},
		"Hi @firstname, @{last-name}!": {{Name: "firstname", Offset: 3, Meant: "first_name"}, {Name: "last-name", Offset: 15, Meant: "last_name"}},
		"@First_Name":                  {{Name: "First_Name", Offset: 0, Meant: "first_name"}},
		"@EMAIL":                       {{Name: "EMAIL", Offset: 0, Meant: "email"}},
		"@emial":                       {{Name: "emial", Offset: 0, Meant: "email"}},
		"é @coursename":                {{Name: "coursename", Offset: 3, Meant: "course_name"}},
		"@usr.name":                    {{Name: "usr.name", Offset: 0, Meant: "user.name"}},
		"@Course.Name":                 {{Name: "Course.Name", Offset: 0, Meant: "course_name"}},
		"@User.Email":                  {{Name: "User.Email", Offset: 0, Meant: "user.Email"}},
		"@asessment.score.raw":         {{Name: "asessment.score.raw", Offset: 0, Meant: "assessment.score.raw"}},
		"@usr":                         {{Name: "usr", Offset: 0, Meant: "user"}},
		"@event.type":                  {{Name: "event.type", Offset: 0, Meant: "event_type"}},
		"@class.name":                  {{Name: "class.name", Offset: 0, Meant: "class_name"}},
		"@user_email":                  {{Name: "user_email", Offset: 0, Meant: "email"}},
		"@user_name":                   {{Name: "user_name", Offset: 0, Meant: "name"}},
		"@organisation":                {{Name: "organisation", Offset: 0, Meant: "organization"}},

		// Known, or no variable at all.
		"@first_name. @user.frist_name @@frist_name @{frist_name": nil,
		"@last_name.txt":    {{Name: "last_name.txt", Offset: 0, Meant: "{last_name}.txt"}},
		"x @{email.Thanks}": {{Name: "email.Thanks", Offset: 2, Meant: "{email}.Thanks"}},
		// An address, whatever its host.
		"bob@emial.com ann@usr.name ann@school.edu": nil,
		// Names of an event's own.
		"@custom @x @id @cost @game @person_id @certificate.url @example.com": {{Name: "game", Offset: 21, Meant: "name"}},
	} {
		if got := template.Parse(text).Suspects(); !slices.Equal(got, want) {
			t.Errorf("Suspects of %q = %v, want %v", text, got, want)
		}
	}
}
