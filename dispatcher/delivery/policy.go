package delivery

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// MaxRetryAfter bounds what a receiver's Retry-After (RFC 9110, 10.2.3) can ask for.
const MaxRetryAfter = time.Hour

// Policy decides whether and when a failed attempt is followed by another. It is immutable once made.
type Policy struct {
	delays  []time.Duration
	kinds   map[Kind]bool
	status  map[int]bool
	classes [10]bool // classes[5]: every 5xx
}

// maxDelays bounds the table of delays: no schedule is longer.
const maxDelays = 64

// NewPolicy makes a policy: the first retry comes initial after the end of the failed attempt, each later delay is
// multiplier times the last. retryOn lists what may pass: timeout, network, statuses ("408") and classes ("5xx").
func NewPolicy(initial time.Duration, multiplier float64, retryOn []string) (*Policy, error) {
	p := &Policy{kinds: map[Kind]bool{}, status: map[int]bool{}}
	for _, on := range retryOn {
		if err := p.allow(on); err != nil {
			return nil, err
		}
	}
	// The whole policy is stated: no jitter, since the schedule is a promise; no cap and no end, since attempts are
	// counted elsewhere (MaxElapsedTime would otherwise end it after 15 minutes).
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(initial),
		backoff.WithMultiplier(multiplier),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxInterval(math.MaxInt64),
		backoff.WithMaxElapsedTime(0),
	)
	longest := 100 * 24 * time.Hour
	for range maxDelays {
		d := b.NextBackOff()
		if d > longest || d < 0 {
			d = longest
		}
		p.delays = append(p.delays, d)
		if d == longest {
			break
		}
	}
	return p, nil
}

func (p *Policy) allow(on string) error {
	switch {
	case on == string(KindTimeout) || on == string(KindNetwork):
		p.kinds[Kind(on)] = true
		return nil
	case len(on) == 3 && strings.HasSuffix(strings.ToLower(on), "xx") && on[0] >= '1' && on[0] <= '9':
		p.classes[on[0]-'0'] = true
		return nil
	}
	code, err := strconv.Atoi(on)
	if err != nil || code < 100 || code > 999 {
		return fmt.Errorf("retry_on: %q is neither timeout, network, a status such as 429 nor a class such as 5xx", on)
	}
	p.status[code] = true
	return nil
}

// Delay is how long after the end of failed attempt n (from 1) the next one comes.
func (p *Policy) Delay(n int) time.Duration {
	return p.delays[min(max(n, 1), len(p.delays))-1]
}

// MayPass tells whether the failure is one that another attempt may mend.
func (p *Policy) MayPass(kind Kind, status int) bool {
	if kind != KindStatus {
		return p.kinds[kind]
	}
	return p.status[status] || (status >= 100 && status < 1000 && p.classes[status/100])
}

// Paces tells whether the status is one whose Retry-After counts (RFC 9110, 10.2.3; RFC 6585, 4).
func Paces(status int) bool {
	return status == 429 || status == 503
}

// Next says when the attempt after attempt n comes: the delay after its end, or later where the receiver asked for it.
func (p *Policy) Next(ended time.Time, n int, retryAfter time.Duration) time.Time {
	return ended.Add(max(p.Delay(n), min(retryAfter, MaxRetryAfter)))
}
