package console

import (
	"hash/maphash"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	triesBurst = 20              // wrong tokens from one address before it has to wait
	triesEvery = 2 * time.Second // and then one in this time
	triesKept  = 4096            // addresses that are remembered
)

// tries counts wrong tokens by the address they came from, the same one once: a program with an old token asks again and again, and
// must not keep others behind its address out. It is safe for concurrent use.
type tries struct {
	mu   sync.Mutex
	from map[string]*guesses
}

// guesses are those from one address.
type guesses struct {
	limit *rate.Limiter
	last  []uint64 // the latest, hashed
}

var guessSeed = maphash.MakeSeed()

// tooMany tells whether an address has sent so many wrong tokens that no more are looked at.
func (t *tries) tooMany(remote string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.from[host(remote)]
	return g != nil && g.limit.Tokens() < 1
}

// wrong notes a wrong token.
func (t *tries) wrong(remote, token string) {
	hash := maphash.String(guessSeed, token)
	t.mu.Lock()
	defer t.mu.Unlock()
	key := host(remote)
	if t.from == nil || len(t.from) >= triesKept && t.from[key] == nil {
		t.from = map[string]*guesses{}
	}
	g := t.from[key]
	if g == nil {
		g = &guesses{limit: rate.NewLimiter(rate.Every(triesEvery), triesBurst)}
		t.from[key] = g
	}
	if slices.Contains(g.last, hash) {
		return
	}
	if len(g.last) == triesBurst {
		g.last = slices.Delete(g.last, 0, 1)
	}
	g.last = append(g.last, hash)
	g.limit.Allow()
}

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}
