package rule_test

import (
	"fmt"
	"testing"

	"bellhop/dispatcher/rule"
)

const backtestInForce = `rules:
- name: crm
  on: course.completed
  filter: {score: {gte: 50}}
  webhooks:
  - {name: same, endpoint: "https://a.example.com/", parameters: {s: "@score"}}
  - {name: body, endpoint: "https://a.example.com/", parameters: {s: "@score"}}
  - {name: moved, endpoint: "https://a.example.com/"}
  - {name: signed, endpoint: "https://a.example.com/"}
- name: gone
  on: course.*
  webhooks: [{endpoint: "https://a.example.com/"}]
- name: off
  on: course.*
  enabled: false
  webhooks: [{endpoint: "https://a.example.com/"}]
`

const backtestNext = `rules:
- name: crm
  on: course.completed
  filter: {score: {gte: 60}}
  webhooks:
  - {name: same, endpoint: "https://a.example.com/", timeout: 3s, parameters: {s: "@score"}}
  - {name: body, endpoint: "https://a.example.com/", parameters: {s: "@score@user.x"}}
  - {name: moved, endpoint: "https://b.example.com/"}
  - {name: signed, endpoint: "https://a.example.com/", secret: "${KEY}"}
- name: off
  on: course.*
  webhooks: [{endpoint: "https://a.example.com/"}]
`

func TestBacktest(t *testing.T) {
	events := []struct{ typ, data string }{
		{"course.completed", `{"score": 40}`}, {"course.completed", `{"score": 55}`}, {"course.completed", `{"score": 90}`},
		{"course.completed", `{"score": 91, "user": {"x": "!"}}`}, {"course.enrolled", `{}`}, {"module.added", `{}`},
	}
	for _, tt := range []struct {
		about         string
		next, inForce string
		want          []rule.Tally
	}{
		{"a change", backtestNext, backtestInForce, []rule.Tally{
			{Rule: "crm", Webhook: "same", Fires: 2, InForce: 3, Removed: 1},
			{Rule: "crm", Webhook: "body", Fires: 2, InForce: 3, Removed: 1, Changed: 1},
			{Rule: "crm", Webhook: "moved", Fires: 2, InForce: 3, Removed: 1, Changed: 2},
			{Rule: "crm", Webhook: "signed", Fires: 2, InForce: 3, Removed: 1, Changed: 2},
			{Rule: "off", Webhook: "webhook-1", Fires: 5, Added: 5},
			{Rule: "gone", Webhook: "webhook-1", InForce: 5, Removed: 5},
		}},
		{"no change", backtestInForce, backtestInForce, []rule.Tally{
			{Rule: "crm", Webhook: "same", Fires: 3, InForce: 3}, {Rule: "crm", Webhook: "body", Fires: 3, InForce: 3},
			{Rule: "crm", Webhook: "moved", Fires: 3, InForce: 3}, {Rule: "crm", Webhook: "signed", Fires: 3, InForce: 3},
			{Rule: "gone", Webhook: "webhook-1", Fires: 5, InForce: 5}, {Rule: "off", Webhook: "webhook-1"},
		}},
		{"nothing in force", backtestNext, "", []rule.Tally{
			{Rule: "crm", Webhook: "same", Fires: 2}, {Rule: "crm", Webhook: "body", Fires: 2}, {Rule: "crm", Webhook: "moved", Fires: 2},
			{Rule: "crm", Webhook: "signed", Fires: 2}, {Rule: "off", Webhook: "webhook-1", Fires: 5},
		}},
	} {
		var inForce *rule.Set
		if tt.inForce != "" {
			inForce = compiled(t, tt.inForce)
		}
		b := rule.NewBacktest(compiled(t, tt.next), inForce)
		for _, e := range events {
			b.Add(ofType(t, e.typ, e.data))
		}
		if got := b.Tallies(); fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%s: the tallies are\n%+v, want\n%+v", tt.about, got, tt.want)
		}
	}
}
