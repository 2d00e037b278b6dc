//go:build !race

// Thousands of deliveries in ten seconds of a bubble take the race detector a minute, and it sees the same code in other tests.

package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"bellhop/dispatcher/delivery"
	"bellhop/dispatcher/endpoint"
)

// A lane's rate holds exactly, in every second and over ten: never one more, and never one less while something waits. Its
// concurrency holds as well.
func TestRateHoldsExactly(t *testing.T) {
	for _, perSecond := range []int{1, 10, 500} {
		for _, takes := range []time.Duration{0, 30 * time.Millisecond} {
			if takes > 0 && perSecond > 100 {
				continue // the race detector takes a minute for it
			}
			synctest.Test(t, func(t *testing.T) {
				b := newMemBus()
				p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
					time.Sleep(takes)
					return status(200)
				}}
				start(t, b, p, oneRule, func(o *Options) { o.Lanes = map[string]Limit{"http://crm.test:80": {Rate: float64(perSecond)}} })
				const span = 10 * time.Second
				// More than go out, and all at once; what does not fit waits on the bus.
				for i := range 11*perSecond + 5 {
					b.event("course.completed", `{}`, named(fmt.Sprint("e", i)))
				}
				time.Sleep(span + time.Second)
				synctest.Wait()
				var at []time.Duration
				for _, one := range p.all() {
					at = append(at, one.at.Sub(p.all()[0].at))
				}
				within := func(from, to time.Duration) (n int) {
					for _, t := range at {
						if t >= from && t < to {
							n++
						}
					}
					return n
				}
				if got, want := within(0, span), 10*perSecond; got != want {
					t.Errorf("at %d/s, %s each, %d attempts began in %s, want %d", perSecond, takes, got, span, want)
				}
				// No second, wherever it begins, has more than the rate and the one that stood ready.
				for _, from := range at {
					if n := within(from, from+time.Second); n > perSecond+1 {
						t.Errorf("at %d/s %d attempts began in the second from %s on", perSecond, n, from)
						break
					}
				}
			})
		}
	}
}

func TestConcurrencyHoldsExactly(t *testing.T) {
	for _, concurrency := range []int{1, 10, 500} {
		synctest.Test(t, func(t *testing.T) {
			b := newMemBus()
			p := &poster{answer: func(int, endpoint.Request) endpoint.Response {
				time.Sleep(100 * time.Millisecond)
				return status(200)
			}}
			start(t, b, p, oneRule, func(o *Options) {
				o.Workers, o.PerEndpoint = 600, 64
				o.Lanes = map[string]Limit{"http://crm.test:80": {Concurrency: concurrency}}
			})
			for i := range 21 * concurrency {
				b.event("course.completed", `{}`, named(fmt.Sprint("e", i)))
			}
			time.Sleep(2*time.Second + 50*time.Millisecond)
			synctest.Wait()
			if p.most != concurrency {
				t.Errorf("%d attempts at a time, want %d", p.most, concurrency)
			}
			// All of it is used: each place ends ten a second.
			if got, want := len(p.all()), 20*concurrency; got < want*95/100 {
				t.Errorf("with %d at a time %d attempts began in 2 s, want %d", concurrency, got, want)
			}
		})
	}
}

// Probing takes time, and nothing else: each delivery has all of its attempts, the next one due as long after the end of the last as
// ever, none of them early, and the endpoint gets few at a time until one of them succeeds.
func TestProbesChangeNoDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, retries = 120, 3
		b, p := newMemBus(), &poster{answer: hang}
		start(t, b, p, strings.Replace(twoEndpoints, "timeout: 10s", fmt.Sprintf("timeout: 10s, retries: %d", retries), 1), func(o *Options) { o.Workers, o.PerEndpoint = 64, 16 })
		for i := range n {
			b.event("course.completed", `{}`, named(fmt.Sprint("e", i)))
		}
		time.Sleep(45 * time.Second)
		synctest.Wait()
		for range 100 {
			p.mu.Lock()
			if p.now > probes {
				t.Errorf("%d attempts at a time at an endpoint that has failed for long, want %d", p.now, probes)
			}
			p.mu.Unlock()
			time.Sleep(5 * time.Second)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		byID := map[string][]delivery.Record{}
		for _, rec := range b.records() {
			byID[rec.DeliveryID] = append(byID[rec.DeliveryID], rec)
		}
		if len(byID) != n {
			t.Fatalf("%d deliveries have outcomes, want %d", len(byID), n)
		}
		for id, list := range byID {
			if len(list) != retries+1 {
				t.Fatalf("%s has %d attempts, want %d", id, len(list), retries+1)
			}
			for i, rec := range list {
				if rec.Attempt != i+1 || rec.MaxAttempts != retries+1 {
					t.Errorf("%s: attempt %d of %d, want %d of %d", id, rec.Attempt, rec.MaxAttempts, i+1, retries+1)
				}
				if i == retries {
					if rec.NextAttemptAt != nil {
						t.Errorf("%s: its last attempt names a next one", id)
					}
					break
				}
				ended := rec.StartedAt.Add(time.Duration(rec.DurationMS * float64(time.Millisecond)))
				if rec.NextAttemptAt == nil {
					t.Fatalf("%s: attempt %d names no next one", id, i+1)
				}
				if delay, want := rec.NextAttemptAt.Sub(ended).Round(time.Millisecond), 5*time.Second<<i; delay != want {
					t.Errorf("%s: attempt %d is due %s after the end of the one before, want %s", id, i+2, delay, want)
				}
				if list[i+1].StartedAt.Before(rec.NextAttemptAt.Time) {
					t.Errorf("%s: attempt %d began before it was due", id, i+2)
				}
			}
		}
		// One answer, and it has all of its places again.
		p.mu.Lock()
		p.answer = func(int, endpoint.Request) endpoint.Response { time.Sleep(time.Second); return status(200) }
		p.most = 0
		p.mu.Unlock()
		for i := range 100 {
			b.event("course.completed", `{}`, named(fmt.Sprint("f", i)))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if p.most != 16 {
			t.Errorf("%d at a time once it answers, want its 16", p.most)
		}
	})
}
