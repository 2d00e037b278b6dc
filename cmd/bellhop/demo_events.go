package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/event"
)

// encoding is how an event is put into a message.
type encoding string

// The encodings that the daemon tells apart, and one that it cannot read.
const (
	structured encoding = "CloudEvents, structured"
	binary     encoding = "CloudEvents, binary"
	plain      encoding = "plain JSON"
	nameless   encoding = "plain JSON, no id"
	torn       encoding = "unreadable"
)

// scene is one event of the demo's story.
type scene struct {
	typ      string
	encoding encoding
	archived bool // the user is
}

// story is what happens, over and over. Its first dozen scenes show every entity, every encoding, an archived user, an event
// that cannot be read, and most of what can go wrong with a receiver: for those who watch for a few seconds only.
var story = []scene{
	{typ: "course.completed", encoding: structured},
	{typ: "assessment.graded", encoding: plain},
	{typ: "group.joined", encoding: binary},
	{typ: "account.created", encoding: structured},
	{typ: "course.completed", encoding: nameless},
	{typ: "module.completed", encoding: plain},
	{typ: "section.added", encoding: torn},
	{typ: "course.completed", encoding: binary, archived: true},
	{typ: "section.completed", encoding: nameless},
	{typ: "course.unenrolled", encoding: plain},
	{typ: "account.updated", encoding: binary},
	{typ: "module.added", encoding: structured},
	{typ: "assessment.graded", encoding: structured},
	{typ: "account.archived", encoding: structured, archived: true},
	{typ: "course.enrolled", encoding: binary},
	{typ: "assessment.given", encoding: nameless},
	{typ: "group.joined", encoding: plain},
	{typ: "assessment.submitted", encoding: structured},
	{typ: "section.added", encoding: binary},
	{typ: "group.left", encoding: nameless},
	{typ: "course.reenrolled", encoding: structured},
	{typ: "module.deleted", encoding: nameless},
	{typ: "course.inactive", encoding: plain},
	{typ: "section.deleted", encoding: structured},
	{typ: "account.deleted", encoding: plain},
}

// person is a user of the demo's platform.
type person struct {
	id                                         json.Number
	first, last, mail, language, country, city string
	organization, role                         string
}

var people = []person{
	{"9007199254740993", "Ana", "Müller", "ana.mueller@example.com", "de", "DE", "Köln", "Müller & Söhne", "learner"},
	{"1002", "小明", "王", "wang@example.com", "zh", "TW", "臺北", "學習 + 成長", "learner"},
	{"1003", "Ionuț", "Popescu", "ionut+kurs@example.com", "ro", "RO", "Cluj-Napoca", "R&D = 100%", "learner"},
	{"1004", "Siobhán", "O'Connor", "siobhan@example.com", "en", "IE", "Galway", "Bellhop Academy", "instructor"},
	{"1005", "花子", "佐藤", "hanako@example.com", "ja", "JP", "京都", "Acme", "learner"},
}

var courses = []struct{ name, code string }{
	{"Data & Graphs", "DG-101"},
	{"C++ in 21 Tagen", "C++21"},
	{"日本語入門", "JP-1"},
	{"Übermäßig schöne Mathematik: 1 + 1 = 2", "MATH/1+1"},
}

var (
	modules     = []string{"Trees & Forests", "Zeiger, Referenzen?", "ひらがな", "50 % Brüche"}
	sections    = []string{"Übung 1", "Read & Repeat", "第二課"}
	assessments = []string{"Final exam", "Quiz: x = y + z?", "期末テスト"}
	groups      = []string{"Köln & Friends", "Night owls", "東京 2026"}
	scores      = []json.Number{"92.50", "64", "88.0", "79.99", "100"}
)

// act is one event, ready to be published.
type act struct {
	typ      string
	says     string // what happened, for people
	encoding encoding
	msg      bus.Msg // its subject is the event type alone
}

// scripted is the nth event, from 0. At is when it happened.
func scripted(n int, at time.Time) (act, error) {
	s := story[n%len(story)]
	// Five people, four courses: who does what is another combination each time round.
	turn := n + n/len(story)
	who := people[turn%len(people)]
	course, module := courses[turn%len(courses)], modules[turn%len(modules)]
	section, assessment, group := sections[turn%len(sections)], assessments[turn%len(assessments)], groups[turn%len(groups)]
	score := scores[graded(n)%len(scores)]

	user := map[string]any{
		"id": who.id, "first_name": who.first, "last_name": who.last, "email": who.mail, "language": who.language,
		"country": who.country, "city": who.city, "organization": map[string]any{"name": who.organization}, "roles": []string{who.role},
		"archived": s.archived,
	}
	data := map[string]any{"user": user, "account": map[string]any{"id": 7, "name": "Bellhop Academy & Co"}}
	entity, action, _ := strings.Cut(s.typ, ".")
	about := ""
	switch entity {
	case "module", "section", "assessment", "course":
		data["course"] = map[string]any{"id": 100 + turn%len(courses), "name": course.name, "course_code": course.code, "price": json.Number("12.50")}
		about = course.name
	}
	switch entity {
	case "module":
		data["module"] = map[string]any{"id": 200 + turn%len(modules), "name": module}
		about = module
	case "section":
		data["section"] = map[string]any{"id": 300 + turn%len(sections), "name": section}
		about = section
	case "assessment":
		data["assessment"] = map[string]any{"id": 400 + turn%len(assessments), "name": assessment}
		about = assessment
	case "group":
		data["group"] = map[string]any{"id": 500 + turn%len(groups), "name": group}
		about = group
	}
	a := act{typ: s.typ, encoding: s.encoding, says: sentence(who.first+" "+who.last, entity, action, about)}
	if action == "graded" {
		data["score"] = score
		a.says += ": " + score.String()
	}
	var err error
	a.msg, err = encodeAct(s, n, at, data)
	return a, err
}

// graded counts the grades before the nth event.
func graded(n int) int {
	before := 0
	for i, s := range story {
		if s.typ == "assessment.graded" {
			before += n / len(story)
			if i < n%len(story) {
				before++
			}
		}
	}
	return before
}

// sentence says what happened.
func sentence(who, entity, action, about string) string {
	switch entity + "." + action {
	case "course.completed", "module.completed", "section.completed":
		return fmt.Sprintf("%s finished %q", who, about)
	case "course.enrolled", "course.reenrolled":
		return fmt.Sprintf("%s takes %q", who, about)
	case "course.unenrolled":
		return fmt.Sprintf("%s gave up %q", who, about)
	case "course.inactive":
		return fmt.Sprintf("%s has not been seen in %q", who, about)
	case "assessment.given":
		return fmt.Sprintf("%s is given %q", who, about)
	case "assessment.submitted":
		return fmt.Sprintf("%s handed in %q", who, about)
	case "assessment.graded":
		return fmt.Sprintf("%s has a grade in %q", who, about)
	case "group.joined", "group.left":
		return fmt.Sprintf("%s %s %q", who, action, about)
	}
	if entity == "account" {
		return fmt.Sprintf("the account of %s was %s", who, action)
	}
	return fmt.Sprintf("%s %q was %s", entity, about, action)
}

// demoSource is the source of the demo's CloudEvents.
const demoSource = "/bellhop/demo"

// encodeAct puts an event into a message.
func encodeAct(s scene, n int, at time.Time, data map[string]any) (bus.Msg, error) {
	m := bus.Msg{Subject: s.typ}
	id, stamp := "demo-"+strconv.Itoa(n+1), at.UTC().Format(time.RFC3339Nano)
	var body any = data
	switch s.encoding {
	case structured:
		body = map[string]any{
			"specversion": "1.0", "id": id, "source": demoSource, "type": s.typ, "time": stamp, "datacontenttype": "application/json", "data": data,
		}
	case binary:
		m.Header = map[string][]string{
			"ce-specversion": {"1.0"}, "ce-id": {id}, "ce-source": {demoSource}, "ce-type": {s.typ}, "ce-time": {stamp},
			"content-type": {"application/json"},
		}
	case plain:
		m.Header = map[string][]string{bus.MsgID: {id}}
	}
	var err error
	if m.Data, err = json.Marshal(body); err != nil {
		return m, fmt.Errorf("encode demo event %s: %w", id, err)
	}
	if s.encoding == torn {
		m.Data = m.Data[:len(m.Data)/2]
	}
	return m, nil
}

// decoded reads an act back as a daemon would read it off the stream.
func (a act) decoded(stream string, created time.Time, seq uint64, at time.Time) (*event.Event, error) {
	return event.Decode(event.Message{
		Stream: stream, Created: created, Seq: seq, Time: at, Type: a.typ, Subject: a.msg.Subject, Header: a.msg.Header, Data: a.msg.Data,
	}, 0)
}
