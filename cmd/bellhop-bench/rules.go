package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// ruleSet is one way to fill rule files.
type ruleSet struct {
	name  string
	count int
	mixed bool
	path  string
}

// write writes the rules. Each looks at the same field of the same event type for a value of its own; of mixed ones a third does
// so by a list and a third by a prefix and another field besides.
func (s *ruleSet) write(b *bench) (err error) {
	f := newRuleFile()
	for i := range s.count {
		filter := fmt.Sprintf("{course.course_code: %s}", code(i))
		if s.mixed {
			switch i % 3 {
			case 1:
				filter = fmt.Sprintf("{course.course_code: {in: [%s, X-%d]}}", code(i), i)
			case 2:
				filter = fmt.Sprintf("{all: [{course.course_code: {starts_with: C-, ends_with: '-%d'}}, {score: {gte: 50}}]}", i)
			}
		}
		f.rule(fmt.Sprintf("r-%d", i), usualType, filter, usualParameters, b.hook())
	}
	s.path, err = f.write(b, s.name)
	return err
}

// event picks one rule after the other, spread over all of them.
func (s *ruleSet) event(i int) *nats.Msg {
	return eventOf(i, usualType, time.Now(), code(i*7919%s.count), "")
}

// rules measures what many rules cost, next to few.
func rules(ctx context.Context, b *bench, r *result) error {
	r.columns = []column{
		{"rules", "rules", ""}, {"kind", "filters", ""}, {"ready", "start to ready s", "%.2f"}, {"rate", "deliveries/s", "%.0f"},
		{"ratio", "over 10 rules", "%.2f"}, {"rss", "daemon peak MB", "mb"},
	}
	if _, err := b.usualSample(ctx); err != nil {
		return err
	}
	few := &ruleSet{name: "rules-10", count: 10}
	if err := few.write(b); err != nil {
		return err
	}
	sets := []*ruleSet{
		{name: "rules-100000", count: 100_000}, {name: "rules-1000", count: 1000}, {name: "rules-mixed-1000", count: 1000, mixed: true},
	}
	rounds := 1
	if b.o.full {
		rounds = 3
		sets = append(sets, &ruleSet{name: "rules-mixed-10000", count: 10_000, mixed: true})
	}
	base := []float64{}
	for _, set := range sets {
		if b.over() {
			r.note("%s: not measured, the time was over", set.name)
			continue
		}
		b.progress("rules: %s", set.name)
		if err := set.write(b); err != nil {
			return err
		}
		var rate, ratio, ready, rss []float64
		for range rounds {
			tens, err := b.drainRules(ctx, few)
			if err != nil {
				return err
			}
			many, err := b.drainRules(ctx, set)
			if err != nil {
				return err
			}
			base = append(base, tens.Rate)
			rate, ratio = append(rate, many.Rate), append(ratio, many.Rate/tens.Rate)
			ready, rss = append(ready, many.Ready[0].Seconds()), append(rss, float64(many.Daemon.PeakRSS))
		}
		kind := "equality"
		if set.mixed {
			kind = "mixed"
		}
		r.add(map[string]any{
			"rules": set.count, "kind": kind, "ready": median(ready), "rate": median(rate), "ratio": median(ratio), "rss": median(rss),
		})
	}
	if len(base) > 0 {
		r.Rows = append([]map[string]any{{"rules": few.count, "kind": "equality", "rate": median(base)}}, r.Rows...)
	}
	r.note("each measured in turn with 10 rules; the daemon's start includes checking and storing the rules for the first time")
	return nil
}

// drainRules measures one set. Many filters that no index helps are expected to be slower.
func (b *bench) drainRules(ctx context.Context, s *ruleSet) (drained, error) {
	rate := b.rate
	if s.mixed {
		rate /= 1 + float64(s.count)/1000
	}
	return b.drain(ctx, drainOptions{daemon: daemonOptions{rules: s.path}, event: s.event, events: b.events(rate, 1)})
}
