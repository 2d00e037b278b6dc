package dispatcher

import (
	"context"
	"sync"
)

// gate bounds how many messages are held of one kind, by what is pulled.
type gate struct {
	mu    sync.Mutex
	free  int
	size  int
	freed chan struct{} // one slot: some were released since it was last looked at
}

func (g *gate) init(size int) {
	g.size, g.free = size, size
	g.freed = make(chan struct{}, 1)
}

// take blocks until at least one place is free, and takes up to most of them.
func (g *gate) take(ctx context.Context, most int) (int, error) {
	for {
		g.mu.Lock()
		n := min(most, g.free)
		g.free -= n
		left := g.free
		g.mu.Unlock()
		if n > 0 {
			if left > 0 {
				g.signal()
			}
			return n, nil
		}
		select {
		case <-g.freed:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

func (g *gate) release(n int) {
	if n <= 0 {
		return
	}
	g.mu.Lock()
	g.free += n
	g.mu.Unlock()
	g.signal()
}

func (g *gate) signal() {
	select {
	case g.freed <- struct{}{}:
	default:
	}
}
