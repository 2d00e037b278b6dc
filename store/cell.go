package store

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"bellhop/dispatcher/delivery"
)

// Counts is how many outcomes of each sort there were.
type Counts struct {
	Calls     uint64 `json:"calls"`  // attempts that POSTed
	Errors    uint64 `json:"errors"` // retrying and failed
	Delivered uint64 `json:"delivered"`
	Retrying  uint64 `json:"retrying"`
	Failed    uint64 `json:"failed"`
	Rejected  uint64 `json:"rejected"`
}

// add adds another's counts.
func (c *Counts) add(o Counts) {
	c.Calls += o.Calls
	c.Errors += o.Errors
	c.Delivered += o.Delivered
	c.Retrying += o.Retrying
	c.Failed += o.Failed
	c.Rejected += o.Rejected
}

// Histogram counts durations by bounds that lie a quarter of a power of two apart.
type Histogram map[uint8]uint64

const (
	histogramBase  = 0.25 // milliseconds: the first bound
	histogramSteps = 4    // bounds to a power of two
	histogramLast  = 96   // above 4,000,000 ms nothing is told apart
)

// Bound gives a bucket's upper bound in milliseconds.
func Bound(bucket uint8) float64 {
	return histogramBase * math.Pow(2, float64(bucket)/histogramSteps)
}

func bucketOf(d time.Duration) uint8 {
	ms := float64(d) / float64(time.Millisecond)
	if ms <= histogramBase {
		return 0
	}
	// The rounding of the logarithm must not put a bound into the bucket above its own.
	return uint8(min(histogramLast, math.Ceil(histogramSteps*math.Log2(ms/histogramBase)-1e-9)))
}

// Count is the number of durations.
func (h Histogram) Count() uint64 {
	var n uint64
	for _, c := range h {
		n += c
	}
	return n
}

// Quantile estimates the duration, in milliseconds, that a part q (0 to 1) of the durations does not exceed. It gives false
// where there are none.
func (h Histogram) Quantile(q float64) (float64, bool) {
	total := h.Count()
	if total == 0 {
		return 0, false
	}
	rank, seen := q*float64(total), 0.0
	order := slices.Sorted(maps.Keys(h))
	for _, b := range order {
		n := float64(h[b])
		if seen+n >= rank || b == order[len(order)-1] {
			low, high := 0.0, Bound(b)
			if b > 0 {
				low = Bound(b - 1)
			}
			return low + (high-low)*min(1, max(0, (rank-seen)/n)), true
		}
		seen += n
	}
	return 0, false
}

// cell is what one counter holds.
type cell struct {
	Counts
	hist Histogram
}

func (c *cell) count(t *Tally) {
	switch t.Outcome {
	case delivery.Delivered:
		c.Delivered++
	case delivery.Retrying:
		c.Retrying++
		c.Errors++
	case delivery.Failed:
		c.Failed++
		c.Errors++
	case delivery.Rejected:
		c.Rejected++
		return // no call
	}
	if !t.Kind.Posted() {
		return
	}
	c.Calls++
	if t.Duration > 0 {
		if c.hist == nil {
			c.hist = Histogram{}
		}
		c.hist[bucketOf(t.Duration)]++
	}
}

func (c *cell) add(o *cell) {
	c.Counts.add(o.Counts)
	for b, n := range o.hist {
		if c.hist == nil {
			c.hist = Histogram{}
		}
		c.hist[b] += n
	}
}

// encode writes the counts, then the buckets that are not empty.
func (c *cell) encode() []byte {
	b := make([]byte, 0, 16+3*len(c.hist))
	for _, n := range [...]uint64{c.Calls, c.Delivered, c.Retrying, c.Failed, c.Rejected} {
		b = binary.AppendUvarint(b, n)
	}
	for _, k := range slices.Sorted(maps.Keys(c.hist)) {
		b = append(b, k)
		b = binary.AppendUvarint(b, c.hist[k])
	}
	return b
}

// decodeCell reads what encode wrote; nothing is a cell of zeros.
func decodeCell(b []byte) (cell, error) {
	var c cell
	if b == nil {
		return c, nil
	}
	for _, n := range [...]*uint64{&c.Calls, &c.Delivered, &c.Retrying, &c.Failed, &c.Rejected} {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return c, fmt.Errorf("%w: a counter is cut short", ErrDamaged)
		}
		*n, b = v, b[size:]
	}
	c.Errors = c.Retrying + c.Failed
	for len(b) > 0 {
		v, size := binary.Uvarint(b[1:])
		if size <= 0 {
			return c, fmt.Errorf("%w: a counter's durations are cut short", ErrDamaged)
		}
		if c.hist == nil {
			c.hist = Histogram{}
		}
		c.hist[b[0]] += v
		b = b[1+size:]
	}
	return c, nil
}
