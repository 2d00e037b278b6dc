package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// readiness collects why the engine is not consuming, by part.
type readiness struct {
	mu  sync.Mutex
	why map[string]error
}

func (r *readiness) set(part string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.why == nil {
		r.why = map[string]error{}
	}
	if err == nil {
		delete(r.why, part)
		return
	}
	r.why[part] = err
}

func (r *readiness) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	parts := make([]string, 0, len(r.why))
	for part := range r.why {
		parts = append(parts, part)
	}
	slices.Sort(parts)
	var errs []error
	for _, part := range parts {
		errs = append(errs, fmt.Errorf("%s: %w", part, r.why[part]))
	}
	return errors.Join(errs...)
}

// valve lets pulls pass or holds them.
type valve struct {
	mu   sync.Mutex
	gone chan struct{} // closed while open
	shut bool
}

func (v *valve) init() {
	v.gone = make(chan struct{})
	v.shut = true
}

func (v *valve) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.shut {
		v.gone, v.shut = make(chan struct{}), true
	}
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.shut {
		close(v.gone)
		v.shut = false
	}
}

// wait blocks until the valve is open or ctx ends.
func (v *valve) wait(ctx context.Context) error {
	v.mu.Lock()
	gone := v.gone
	v.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// complaint is said once for all who have it, and again only after a while.
type complaint struct {
	mu   sync.Mutex
	last time.Time // zero: nothing to complain of
}

// sayAgain is how long a complaint is not repeated.
const sayAgain = 10 * time.Second

func (c *complaint) say(how func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); c.last.IsZero() || now.Sub(c.last) >= sayAgain {
		c.last = now
		how()
	}
}

func (c *complaint) over(how func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.last.IsZero() {
		c.last = time.Time{}
		how()
	}
}
