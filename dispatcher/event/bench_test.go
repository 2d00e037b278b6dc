package event_test

import (
	"strings"
	"testing"

	"bellhop/dispatcher/event"
)

const typical = `{
  "user": {"id": 9007199254740993, "userid": "u-20417", "first_name": "Ada", "last_name": "Lovelace", "nick_name": "ada",
    "email": "ada.lovelace@example.com", "phone": "+40 721 000 000", "country": "RO", "city": "Cluj-Napoca", "language": "ro",
    "archived": false, "roles": ["student", "mentor"], "tags": ["vip", "gold"], "password": "not for us",
    "organization": {"id": 77, "name": "Acme \u0026 Sons", "vat": null}},
  "course": {"id": 4211, "name": "Introduction to Distributed Systems", "course_code": "CS-204", "credits": 12.50,
    "started_at": "2026-01-12T08:00:00Z", "completed_at": "2026-03-01T12:34:56.789Z", "instructors": [{"id": 1, "name": "Grace"}, {"id": 2, "name": "Alan"}]},
  "module": {"id": 9, "name": "Consensus"}, "section": {"id": 31, "name": "Logs"},
  "assessment": {"id": 12, "name": "Final", "score": 87.50, "max": 100},
  "group": {"id": 3, "name": "Evening"}, "account": {"id": 1, "name": "Technical University"},
  "score": 87.50
}`

func BenchmarkDecodePlain(b *testing.B) {
	m := message(typical, header{"Nats-Msg-Id": {"m-1"}})
	b.SetBytes(int64(len(typical)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(m, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeStructured(b *testing.B) {
	m := message(`{"specversion":"1.0","id":"e-1","source":"/lms","time":"2026-03-01T12:34:56Z","data":`+typical+`}`, nil)
	b.SetBytes(int64(len(m.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := event.Decode(m, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	var d event.Decoder
	for name, text := range map[string]string{
		"typical": typical,
		"64 KiB":  `{"user":{"id":1},"note":"` + strings.Repeat("Lorem ipsum dolor sit amet, ", 64<<10/28) + `"}`,
	} {
		m := message(text, header{"Nats-Msg-Id": {"m-1"}})
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Decode(m, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	v := mustParse(b, typical)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = v.AppendJSON(dst[:0])
	}
}
