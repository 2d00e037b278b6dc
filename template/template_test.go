package template_test

import (
	"testing"
	"time"

	"bellhop/dispatcher/event"
	"bellhop/template"
)

// newEvent wraps data in an envelope.
func newEvent(t testing.TB, data string) *event.Event {
	t.Helper()
	v, err := event.ParseJSON([]byte(data))
	if err != nil {
		t.Fatalf("ParseJSON(%s): %v", data, err)
	}
	return &event.Event{
		ID: "evt-1", Source: "lms", Type: "course.completed",
		Time: time.Date(2026, 3, 1, 23, 30, 0, 500_000_000, time.FixedZone("", -2*3600)),
		Data: v,
	}
}

const learner = `{
	"user": {
		"id": 9007199254740993, "first_name": "Ada", "last_name": "Lovelace", "nick_name": "ada", "email": "ada@example.com",
		"userid": "u-1", "student_id": "s-1", "teacher_id": "t-1", "phone": "+40 1", "country": "RO", "city": "Cluj", "language": "ro",
		"organization": {"name": "Acme", "id": 3}, "tags": ["vip", null, "gold", 7, {"a": 1}, [1, 2]], "middle_name": null,
		"active": true, "password": "hunter2", "x-y z": "odd"
	},
	"course": {"name": "Go & Co", "id": 12, "course_code": "GO-1"},
	"module": {"name": "M", "id": 1}, "section": {"name": "S", "id": 2}, "assessment": {"name": "A", "id": 3, "score": 12.50},
	"group": {"name": "G", "id": 4}, "account": {"name": "Acc", "id": 5},
	"custom": "yes", "nothing": null, "deep": {"er": {"est": 1e3, "SSN": "1"}}, "password": "hunter2", "first_name": "top"
}`

func TestAppend(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		// Short names.
		{"@first_name @last_name", "Ada Lovelace"},
		{"@nick_name @email @userid @student_id @teacher_id", "ada ada@example.com u-1 s-1 t-1"},
		{"@phone @country @city @language", "+40 1 RO Cluj ro"},
		{"@user_id", "9007199254740993"},
		{"@name", "Ada Lovelace"},
		{"@organization", "Acme"},
		{"@course_name @course_id @course_code", "Go & Co 12 GO-1"},
		{"@class_name @class_id @class_code", "Go & Co 12 GO-1"},
		{"@module_name @module_id @lesson_name @lesson_id", "M 1 M 1"},
		{"@section_name @section_id @assessment_name @assessment_id", "S 2 A 3"},
		{"@group_name @group_id @account_name @account_id @school", "G 4 Acc 5 Acc"},
		{"@score", "12.50"},
		{"@event_id @event_type", "evt-1 course.completed"},
		{"@event_time @event_date", "2026-03-02T01:30:00.5Z 2026-03-02"},

		// Paths.
		{"@user.first_name", "Ada"},
		{"@user.organization.name", "Acme"},
		{"@user.organization", `{"name":"Acme","id":3}`},
		{"@assessment.score", "12.50"},
		{"@user.active", "true"},
		{"@user.tags", `vip,,gold,7,{"a":1},[1,2]`},
		{"@user.tags.0", ""},
		{"@user.missing", ""},
		{"@user.middle_name", ""},
		{"@user.first_name.deeper", ""},
		{"@custom", "yes"},
		{"@custom.deeper", ""},
		{"@nothing", ""},
		{"@nothing.deeper", ""},
		{"@deep.er.est", "1e3"},
		{"@deep", `{"er":{"est":1e3}}`},
		{"@{user.x-y z}", "odd"},
		{"@user.x-y", "-y"},

		// Where a name ends.
		{"@first_name.", "Ada."},
		{"@first_name. @last_name...", "Ada. Lovelace..."},
		{"@user.first_name.", "Ada."},
		{"@last_name.@first_name", "Lovelace.Ada"},
		{"@last_name.txt", "@last_name.txt"}, // a path that begins with no field of the data
		{"@email.Thanks", "@email.Thanks"},
		{"cert_@last_name.pdf", "cert_@last_name.pdf"},
		{"cert_@{last_name}.pdf", "cert_Lovelace.pdf"},
		{"@first_name.txt", ""}, // this event's data has a field first_name
		{"@{first_name}s", "Adas"},
		{"@first_names", "@first_names"},
		{"@{user.first_name}2", "Ada2"},
		{"@{last_name}.txt", "Lovelace.txt"},
		{"@{first_name}@{last_name}", "AdaLovelace"},
		{"@first_name@last_name", "AdaLovelace"},
		{"@first_name@last_name.txt", "Ada@last_name.txt"},
		{"@school.edu", "@school.edu"},
		{"(@first_name)", "(Ada)"},
		{"@first_name-@last_name", "Ada-Lovelace"},
		{"@first_nameé", "Adaé"},

		// At signs.
		{"@@first_name", "@first_name"},
		{"@@@first_name", "@Ada"},
		{"@first_name@@example.com", "Ada@example.com"},
		{"@@", "@"},
		{"@@@", "@@"},
		{"@", "@"},
		{"a @ b", "a @ b"},
		{"bob@example.com", "bob@example.com"},
		{"ann@school.edu", "ann@school.edu"},
		{"ann@école.fr", "ann@école.fr"},

		// What is no variable.
		{"", ""},
		{"plain", "plain"},
		{"@{}", "@{}"},
		{"@{first_name", "@{first_name"},
		{"@{ @first_name }", "@{ Ada }"},
		{"@{first_name.}", "@{first_name.}"},
		{"@{.first_name}", "@{.first_name}"},
		{"@{user..id}", "@{user..id}"},
		{"@{a{b}", "@{a{b}"},
		{"@{a\nb}", "@{a\nb}"},
		{"@{unknown name}", "@{unknown name}"},
		{"@{last_name.txt}", "@{last_name.txt}"},
		{"@unknown", "@unknown"},
		{"@unknown.path.", "@unknown.path."},
		{"@First_Name", "@First_Name"},
		{"@1st", "@1st"},
		{"@.first_name", "@.first_name"},
		{"@event.type", "@event.type"},

		// What must never be read.
		{"@password", "@password"},
		{"@user.password", ""},
		{"@deep.er.SSN", ""},
	} {
		e := newEvent(t, learner)
		p := template.Parse(tt.text)
		if got := string(p.Append(nil, e)); got != tt.want {
			t.Errorf("Parse(%q).Append = %q, want %q", tt.text, got, tt.want)
		}
		if got := string(p.Append([]byte("before "), e)); got != "before "+tt.want {
			t.Errorf("Parse(%q).Append to %q = %q, want %q behind it", tt.text, "before ", got, tt.want)
		}
		want := string(template.AppendForm(nil, "näme", []byte(tt.want)))
		if got, _ := p.AppendForm(nil, []byte("scratch"), "näme", e); string(got) != want {
			t.Errorf("Parse(%q).AppendForm = %q, want %q", tt.text, got, want)
		}
		if got := p.Source(); got != tt.text {
			t.Errorf("Parse(%q).Source = %q", tt.text, got)
		}
	}
}

func TestAppendFallbacks(t *testing.T) {
	for _, tt := range []struct{ data, text, want string }{
		{`{}`, "[@first_name|@course_name|@score|@name|@user|@user.id]", "[|||||]"},
		{`{"user":{"first_name":"Ada"}}`, "[@name]", "[Ada]"},
		{`{"user":{"last_name":"Lovelace"}}`, "[@name]", "[Lovelace]"},
		{`{"user":{"first_name":"","last_name":"Lovelace"}}`, "[@name]", "[Lovelace]"},
		{`{"user":{"first_name":"Ada","last_name":""}}`, "[@name]", "[Ada]"},
		{`{"user":{"name":"A. L.","first_name":"Ada"}}`, "[@name]", "[A. L.]"},
		{`{"user":{"name":null,"first_name":"Ada","last_name":"L"}}`, "[@name]", "[Ada L]"},
		{`{"user":{"organization":"Acme"}}`, "[@organization]", "[Acme]"},
		{`{"user":{"organization":null}}`, "[@organization]", "[]"},
		{`{"user":{"organization":{"id":1}}}`, "[@organization]", `[{"id":1}]`},
		{`{"score":0,"assessment":{"score":5}}`, "[@score]", "[0]"},
		{`{"score":null,"assessment":{"score":5}}`, "[@score]", "[5]"},
		{`{"score":{"raw":5}}`, "@score.raw", "5"},
		{`{"user":"Ada"}`, "[@user|@user.name|@first_name]", "[Ada||]"},
		{`{"email":"top"}`, "[@email]", "[]"},
		{`{"event":{"type":"mine"}}`, "@event.type @event_type", "mine course.completed"},
		{`{"example":{"com":"!"}}`, "bob@example.com", "bob!"},
		{`{"first name":"x"}`, "@{first name}", "x"},
		{`{"país":"x"}`, "@{país}", "x"},
		{`{"_id":"x"}`, "@_id", "x"},
		{`{"user":{"first_name":"@last_name","last_name":"a&b=c"}}`, "@first_name @last_name", "@last_name a&b=c"},
	} {
		if got := string(template.Parse(tt.text).Append(nil, newEvent(t, tt.data))); got != tt.want {
			t.Errorf("Parse(%q).Append with data %s = %q, want %q", tt.text, tt.data, got, tt.want)
		}
	}
}

func TestAppendFormAllocatesNothing(t *testing.T) {
	e := newEvent(t, learner)
	p := template.Parse("Hello @first_name, @{user.organization} @event_time @unknown")
	dst, scratch := make([]byte, 0, 1024), make([]byte, 0, 1024)
	allocs := testing.AllocsPerRun(100, func() { dst, scratch = p.AppendForm(dst[:0], scratch, "a", e) })
	if allocs != 0 {
		t.Errorf("AppendForm into buffers that are large enough makes %v allocations, want 0", allocs)
	}
}

func BenchmarkAppendForm(b *testing.B) {
	e := newEvent(b, learner)
	constant, short := template.Parse("a constant value & so on"), template.Parse("@first_name @last_name")
	path := template.Parse("@{user.organization.name}: @score")
	var dst, scratch []byte
	b.ReportAllocs()
	for b.Loop() {
		dst, scratch = constant.AppendForm(dst[:0], scratch, "kind", e)
		dst, scratch = short.AppendForm(dst, scratch, "student", e)
		dst, scratch = path.AppendForm(dst, scratch, "at", e)
	}
}
