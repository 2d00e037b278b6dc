package template

import (
	"slices"
	"strings"
	"time"

	"bellhop/dispatcher/event"
)

// Name is a short name of the catalogue.
type Name struct {
	Name string // first_name
	// Reads lists data paths in the order they are tried ("user.name"), or "event.id" and so on for the envelope. Paths
	// with a space between them are one try: their values joined by a space.
	Reads []string
	Doc   string // one line for documentation and completion
}

var catalogue = []Name{
	user("first_name", "the user's first name"),
	user("last_name", "the user's last name"),
	user("nick_name", "the user's nick name"),
	user("email", "the user's e-mail address"),
	user("userid", "the user's userid, a login or a number of another system"),
	user("student_id", "the user's student id"),
	user("teacher_id", "the user's teacher id"),
	user("phone", "the user's phone number"),
	user("country", "the user's country"),
	user("city", "the user's city"),
	user("language", "the user's language"),
	{"user_id", []string{"user.id"}, "the user's id"},
	{"name", []string{"user.name", "user.first_name user.last_name"}, "the user's name, else the first and last name"},
	{"organization", []string{"user.organization.name", "user.organization"}, "the user's organization"},
	{"course_name", []string{"course.name"}, "the course's name"},
	{"course_id", []string{"course.id"}, "the course's id"},
	{"course_code", []string{"course.course_code"}, "the course's code"},
	{"class_name", []string{"course.name"}, "the course's name"},
	{"class_id", []string{"course.id"}, "the course's id"},
	{"class_code", []string{"course.course_code"}, "the course's code"},
	{"module_name", []string{"module.name"}, "the module's name"},
	{"module_id", []string{"module.id"}, "the module's id"},
	{"lesson_name", []string{"module.name"}, "the module's name"},
	{"lesson_id", []string{"module.id"}, "the module's id"},
	{"section_name", []string{"section.name"}, "the section's name"},
	{"section_id", []string{"section.id"}, "the section's id"},
	{"assessment_name", []string{"assessment.name"}, "the assessment's name"},
	{"assessment_id", []string{"assessment.id"}, "the assessment's id"},
	{"group_name", []string{"group.name"}, "the group's name"},
	{"group_id", []string{"group.id"}, "the group's id"},
	{"account_name", []string{"account.name"}, "the account's name"},
	{"account_id", []string{"account.id"}, "the account's id"},
	{"school", []string{"account.name"}, "the account's name"},
	{"score", []string{"score", "assessment.score"}, "the score, else the assessment's"},
	{"event_id", []string{"event.id"}, "the event's id"},
	{"event_type", []string{"event.type"}, "the event's type, such as course.completed"},
	{"event_time", []string{"event.time"}, "when it happened, RFC 3339 in UTC"},
	{"event_date", []string{"event.date"}, "the day it happened, in UTC"},
}

// user is a short name that reads the user's field of the same name.
func user(name, doc string) Name { return Name{name, []string{"user." + name}, doc} }

// entities are the top-level objects of the data that paths may always begin with.
var entities = []string{"user", "course", "module", "section", "assessment", "group", "account"}

// isEntity tells whether the token is an entity's name.
func isEntity(token string) bool { return slices.Contains(entities, token) }

// Catalogue lists the short names in documentation order. The caller must not change it.
func Catalogue() []Name { return catalogue }

// Entities lists the top-level objects of the data that a path may begin with whatever the event holds, in documentation
// order. The caller must not change it.
func Entities() []string { return entities }

// Known tells whether the name, written without @ and braces, is a variable in every event: a short name, or a path that
// begins with an entity. Any other name is one only in events whose data has the field.
func Known(name string) bool {
	if short[name] != nil {
		return true
	}
	tokens := strings.Split(name, ".")
	return isEntity(tokens[0]) && !slices.Contains(tokens, "")
}

// reading is what a short name reads, ready to follow.
type reading struct {
	envelope string       // event.id and so on; "" where tries are read
	tries    [][][]string // the first whose paths are not all absent is taken
}

// short finds a short name's reading.
var short = func() map[string]*reading {
	all := make(map[string]*reading, len(catalogue))
	for _, n := range catalogue {
		r := new(reading)
		all[n.Name] = r
		if strings.HasPrefix(n.Reads[0], "event.") {
			r.envelope = n.Reads[0]
			continue
		}
		for _, try := range n.Reads {
			var paths [][]string
			for path := range strings.FieldsSeq(try) {
				paths = append(paths, strings.Split(path, "."))
			}
			r.tries = append(r.tries, paths)
		}
	}
	return all
}()

// append renders what the short name reads, nothing where all of it is absent.
func (r *reading) append(dst []byte, e *event.Event) []byte {
	switch r.envelope {
	case "event.id":
		return append(dst, e.ID...)
	case "event.type":
		return append(dst, e.Type...)
	case "event.time":
		return e.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
	case "event.date":
		return e.Time.UTC().AppendFormat(dst, time.DateOnly)
	}
	for _, try := range r.tries {
		found := false
		start := len(dst)
		for _, path := range try {
			v := e.Data.Lookup(path)
			if v.Absent() {
				continue
			}
			found = true
			before := len(dst)
			if before > start {
				dst = append(dst, ' ')
			}
			joined := len(dst)
			if dst = v.AppendText(dst); len(dst) == joined {
				dst = dst[:before] // an empty text brings no space
			}
		}
		if found {
			return dst
		}
	}
	return dst
}
