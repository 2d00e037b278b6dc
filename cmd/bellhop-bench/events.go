package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// usualType is the type of most events.
const usualType = "course.completed"

// eventOf makes the message of event i: some 700 bytes of a learning platform's JSON. at is when it is meant to be published;
// the receiver reads it back out of the form's first parameter. code goes to the field that the rules' filters look at, pad to one
// that makes large bodies.
func eventOf(i int, typ string, at time.Time, code, pad string) *nats.Msg {
	b := make([]byte, 0, 1024+len(pad))
	b = append(b, sentKey...)
	b = strconv.AppendInt(b, at.UnixNano(), 10)
	b = append(b, `,"score":87.50,"user":{"id":`...)
	b = strconv.AppendInt(b, int64(100_000+i), 10)
	b = append(b, `,"first_name":"Ana Maria","last_name":"Ionescu-Brătianu","email":"ana.ionescu@example.com","userid":"aionescu",`+
		`"student_id":"S-20931","country":"RO","city":"Timișoara","language":"ro","archived":false,"roles":["learner","mentor"],`+
		`"tags":["vip","2026-spring"],"organization":{"id":771,"name":"Acme Learning & Co"}},"course":{"id":9007199254740993,`+
		`"name":"Safety at work: the basics","course_code":"`...)
	b = append(b, code...)
	b = append(b, `","credits":3,"instructors":["Dan Pop","Ioana Rus"]},"account":{"id":12,"name":"North campus"},`+
		`"certificate":{"number":"C-88-1204","expires":"2027-11-25T00:00:00Z"},"note":"`...)
	b = append(b, pad...)
	b = append(b, `"}`...)
	m := nats.NewMsg("events." + typ)
	m.Header[nats.MsgIdHdr] = []string{"e-" + strconv.Itoa(i)}
	m.Data = b
	return m
}

const (
	sentKey    = `{"sent":`
	sentName   = "sent=" // in a form, whose first parameter it is
	sentField  = "\r\n\r\n" + sentName
	sentDigits = 19 // of the nanoseconds since 1970, from 2001 on
)

// sentOf is the time that an event of eventOf's carries, as it stands there; empty where an event begins with another member.
func sentOf(event []byte) []byte {
	value, ok := bytes.CutPrefix(event, []byte(sentKey))
	if !ok || len(value) < sentDigits {
		return nil
	}
	return value[:sentDigits]
}

// usual is eventOf for those that the usual rule takes.
func usual(i int) *nats.Msg { return eventOf(i, usualType, time.Now(), "SAFE-101", "") }

// usualParameters make a body of about 250 bytes.
const usualParameters = `{sent: "@sent", student: "@first_name @last_name", email: "@email", course: "@course_name", ` +
	`course_id: "@course_id", code: "@course_code", score: "@score", school: "@school", at: "@event_time"}`

// ruleFile collects rules.
type ruleFile struct{ strings.Builder }

func newRuleFile() *ruleFile {
	f := &ruleFile{}
	f.WriteString("rules:\n")
	return f
}

// rule adds a rule. filter is YAML, "" for none; hooks are endpoints.
func (f *ruleFile) rule(name, on, filter, parameters string, hooks ...string) {
	fmt.Fprintf(f, "  - name: %s\n    on: [%s]\n", name, on)
	if filter != "" {
		fmt.Fprintf(f, "    filter: %s\n", filter)
	}
	f.WriteString("    webhooks:\n")
	for i, hook := range hooks {
		fmt.Fprintf(f, "      - name: h%d\n        endpoint: %s\n        parameters: %s\n", i, hook, parameters)
	}
}

// write writes the file into the run's folder, under a name of its own, and returns its path.
func (f *ruleFile) write(b *bench, name string) (string, error) {
	path := filepath.Join(b.dir, "rules", name+".yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("write rules: %w", err)
	}
	if err := os.WriteFile(path, []byte(f.String()), 0o600); err != nil {
		return "", fmt.Errorf("write rules: %w", err)
	}
	return path, nil
}

// usualRules is one rule with a filter that holds, and one webhook.
func (b *bench) usualRules(name, hook string) (string, error) {
	f := newRuleFile()
	f.rule("crm-completions", usualType, `{user.organization.name: Acme Learning & Co, user.country: {in: [RO, US]}}`, usualParameters, hook)
	return f.write(b, name)
}
