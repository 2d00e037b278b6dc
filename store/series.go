package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Window is a stretch of time in whole periods: from the beginning of From's to the end of To's.
type Window struct {
	From, To time.Time
	Step     Step
}

// Point is the counts of one period.
type Point struct {
	At time.Time
	Counts
}

// StepFor chooses how to cut a window: as finely as is kept, in at most some hundred points.
func (s *Store) StepFor(from, to time.Time) Step {
	age, length := s.now().Sub(from), to.Sub(from)
	switch {
	case age <= periods[Minute].keep && length <= 6*time.Hour:
		return Minute
	case age <= periods[Hour].keep && length <= 14*24*time.Hour:
		return Hour
	}
	return Day
}

// scan calls fn with each counter of a window, in the order of time.
func (s *Store) scan(w Window, fn func(start time.Time, dim Dimension, value string, c *cell)) error {
	pd := periods[w.Step]
	return s.view("read counts", func(tx *bolt.Tx) error {
		p, err := bucket(tx, bucketProjection)
		if err != nil {
			return err
		}
		b := p.Bucket(pd.bucket)
		if b == nil {
			return nil
		}
		cur := b.Cursor()
		for k, v := cur.Seek(periodKey(w.From.UTC().Truncate(pd.length), 0, "")); k != nil; k, v = cur.Next() {
			start, dim, value, ok := parsePeriodKey(k)
			if !ok {
				return fmt.Errorf("%w: a counter's key", ErrDamaged)
			}
			if start.After(w.To) {
				return nil
			}
			c, err := decodeCell(v)
			if err != nil {
				return err
			}
			fn(start, dim, value, &c)
		}
		return nil
	})
}

// Series gives the counts of each period of a window, without gaps, of one value of a dimension, or of all.
func (s *Store) Series(w Window, dim Dimension, value string) ([]Point, error) {
	pd := periods[w.Step]
	first := w.From.UTC().Truncate(pd.length)
	last := w.To.UTC().Truncate(pd.length)
	n := int(last.Sub(first)/pd.length) + 1
	if n < 1 {
		return nil, errors.New("a window of counts ends before it begins")
	}
	points := make([]Point, n)
	for i := range points {
		points[i].At = first.Add(time.Duration(i) * pd.length)
	}
	suffix := append([]byte{byte(dim)}, value...)
	err := s.view("read counts", func(tx *bolt.Tx) error {
		p, err := bucket(tx, bucketProjection)
		if err != nil {
			return err
		}
		b := p.Bucket(pd.bucket)
		if b == nil {
			return nil
		}
		cur := b.Cursor()
		// One look a period: its counters lie together.
		for k, v := cur.Seek(periodKey(first, dim, value)); k != nil; {
			start, _, _, ok := parsePeriodKey(k)
			if !ok {
				return fmt.Errorf("%w: a counter's key", ErrDamaged)
			}
			if start.After(last) {
				return nil
			}
			switch order := bytes.Compare(k[8:], suffix); {
			case order == 0:
				c, err := decodeCell(v)
				if err != nil {
					return err
				}
				if i := int(start.Sub(first) / pd.length); i >= 0 && i < n {
					points[i].Counts = c.Counts
				}
				k, v = cur.Seek(periodKey(start.Add(pd.length), dim, value))
			case order < 0:
				k, v = cur.Seek(periodKey(start, dim, value))
			default:
				k, v = cur.Seek(periodKey(start.Add(pd.length), dim, value))
			}
		}
		return nil
	})
	return points, err
}

// Share is the counts of one value of a dimension.
type Share struct {
	Value string
	Counts
	Durations Histogram
}

// Breakdown gives the counts of a window by the values of a dimension, those with the most calls first. The window's ends are
// those of the periods in which they lie.
func (s *Store) Breakdown(from, to time.Time, dim Dimension) ([]Share, error) {
	sums := map[string]*cell{}
	err := s.scan(Window{From: from, To: to, Step: s.StepFor(from, to)}, func(_ time.Time, d Dimension, value string, c *cell) {
		if d != dim {
			return
		}
		sum := sums[value]
		if sum == nil {
			sum = &cell{}
			sums[value] = sum
		}
		sum.add(c)
	})
	if err != nil {
		return nil, err
	}
	list := make([]Share, 0, len(sums))
	for value, c := range sums {
		list = append(list, Share{Value: value, Counts: c.Counts, Durations: c.hist})
	}
	slices.SortFunc(list, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(b.Errors, a.Errors), cmp.Compare(a.Value, b.Value))
	})
	return list, nil
}

// Durations gives how long the attempts of a window took, of one value of a dimension, or of all.
func (s *Store) Durations(from, to time.Time, dim Dimension, value string) (Histogram, error) {
	var sum cell
	err := s.scan(Window{From: from, To: to, Step: s.StepFor(from, to)}, func(_ time.Time, d Dimension, v string, c *cell) {
		if d == dim && v == value {
			sum.add(c)
		}
	})
	return sum.hist, err
}
