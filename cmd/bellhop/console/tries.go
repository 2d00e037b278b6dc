package console

import (
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	triesBurst = 20              // wrong tokens from one address before it has to wait
	triesEvery = 2 * time.Second // and then one in this time
	triesKept  = 4096            // addresses that are remembered
)

// tries counts wrong tokens by the address they came from. It is safe for concurrent use.
type tries struct {
	mu   sync.Mutex
	from map[string]*rate.Limiter
}

// tooMany tells whether an address has sent so many wrong tokens that no more are looked at.
func (t *tries) tooMany(remote string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.from[host(remote)]
	return l != nil && l.Tokens() < 1
}

// wrong notes a wrong token.
func (t *tries) wrong(remote string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := host(remote)
	if t.from == nil || len(t.from) >= triesKept && t.from[key] == nil {
		t.from = map[string]*rate.Limiter{}
	}
	l := t.from[key]
	if l == nil {
		l = rate.NewLimiter(rate.Every(triesEvery), triesBurst)
		t.from[key] = l
	}
	l.Allow()
}

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}
