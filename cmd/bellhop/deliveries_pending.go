package main

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"bellhop/cmd/bellhop/console"
	"bellhop/cmd/bellhop/console/api"
	"bellhop/dispatcher/bus"
	"bellhop/dispatcher/delivery"
	"bellhop/store"
)

// pendingRead bounds the attempts that one listing looks at.
const pendingRead = 5000

var dueSteps = []struct {
	name   string
	within time.Duration
}{{"1m", time.Minute}, {"5m", 5 * time.Minute}, {"1h", time.Hour}, {"6h", 6 * time.Hour}, {"24h", 24 * time.Hour}}

// pendingOf describes an attempt to come.
func pendingOf(p bus.PendingJob, now time.Time) (api.Pending, error) {
	j, err := delivery.DecodeJob(p.Data)
	if err != nil {
		return api.Pending{}, err
	}
	out := api.Pending{
		DeliveryID: j.ID, EventID: j.EventID, EventType: j.EventType, EventSeq: j.EventSeq, Rule: j.Rule, Webhook: j.Webhook,
		Endpoint: j.Endpoint, Run: j.Run, Attempt: j.Attempt, MaxAttempts: max(j.MaxAttempts, j.Attempt), Since: &p.Time, State: "waiting",
	}
	if j.Cause != nil {
		out.Error = &api.Error{Kind: string(j.Cause.Kind), Message: j.Cause.Message}
	}
	if !j.Due.IsZero() {
		due := j.Due.UTC()
		out.Due = &due
	}
	switch {
	case p.Place == bus.InSchedule, p.Place == bus.InDue && j.Due.After(now):
		out.State = "scheduled"
	case p.Place == bus.InDue:
		out.State = "due"
	}
	return out, nil
}

// Pending implements console.Deliveries.
func (k *desk) Pending(ctx context.Context, q console.PendingQuery) (api.PendingList, error) {
	out := api.PendingList{Items: []api.Pending{}, Due: []api.DueCount{}}
	if q.After != "" && !pendingCursors.MatchString(q.After) {
		return out, &console.Refusal{Status: http.StatusBadRequest, Err: fmt.Errorf("cursor: %.64q is none of this list's", q.After)}
	}
	b, err := k.bus()
	if err != nil {
		return out, err
	}
	jobs, total, err := b.Pending(ctx, pendingRead)
	if err != nil {
		return out, away(err)
	}
	now := time.Now()
	names := store.Query{Rules: q.Rules, Endpoints: q.Endpoints, Types: q.Types}
	var list []api.Pending
	for _, p := range jobs {
		one, err := pendingOf(p, now)
		if err != nil {
			continue // of a newer Bellhop
		}
		t := store.Tally{Rule: one.Rule, Webhook: one.Webhook, Endpoint: one.Endpoint, EventType: one.EventType}
		if names.Holds(&t) && (len(q.States) == 0 || slices.Contains(q.States, one.State)) {
			list = append(list, one)
		}
	}
	out.Complete = total <= pendingRead
	out.Total = len(list)
	if len(list) == len(jobs) {
		out.Total = total
	}
	out.Due = dueCounts(list, now)
	slices.SortFunc(list, func(a, b api.Pending) int { return strings.Compare(pendingCursor(a), pendingCursor(b)) })
	for _, one := range list {
		if q.After != "" && pendingCursor(one) <= q.After {
			continue
		}
		if len(out.Items) == q.Limit {
			out.Next = pendingCursor(out.Items[len(out.Items)-1])
			break
		}
		out.Items = append(out.Items, one)
	}
	return out, nil
}

// pendingCursor sorts attempts by when they are due.
func pendingCursor(p api.Pending) string {
	var due int64
	if p.Due != nil {
		due = max(0, p.Due.UnixMilli())
	}
	return fmt.Sprintf("%015d-%s", due, p.DeliveryID)
}

// pendingCursors are what pendingCursor gives.
var pendingCursors = regexp.MustCompile(`^[0-9]{15,19}-`)

func dueCounts(list []api.Pending, now time.Time) []api.DueCount {
	sums := map[string]int{}
	for _, p := range list {
		switch {
		case p.State == "waiting":
			sums["room"]++
		case p.Due == nil:
			sums["1m"]++
		default:
			i := slices.IndexFunc(dueSteps, func(s struct {
				name   string
				within time.Duration
			}) bool {
				return p.Due.Sub(now) <= s.within
			})
			if i < 0 {
				sums["later"]++
			} else {
				sums[dueSteps[i].name]++
			}
		}
	}
	counts := []api.DueCount{}
	for _, s := range dueSteps {
		counts = append(counts, api.DueCount{Within: s.name, Count: sums[s.name]})
	}
	return append(counts, api.DueCount{Within: "later", Count: sums["later"]}, api.DueCount{Within: "room", Count: sums["room"]})
}
