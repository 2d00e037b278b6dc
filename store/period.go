package store

import (
	"bytes"
	"encoding/binary"
	"time"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/delivery"
)

// Dimension is what counts are told apart by.
type Dimension byte

// The dimensions. All is not told apart.
const (
	All        Dimension = 0
	ByRule     Dimension = 'r'
	ByWebhook  Dimension = 'w' // rule/webhook
	ByEndpoint Dimension = 'e'
	ByType     Dimension = 't'
	ByKind     Dimension = 'k'
)

// Other gathers the values of a dimension that a period has too many of.
const Other = "(other)"

// Step is how long a period of counting is.
type Step byte

// The steps.
const (
	Minute Step = iota
	Hour
	Day
)

// maxValue bounds a value, in bytes: it comes off the bus.
const maxValue = 512

// period is a way of cutting time.
type period struct {
	bucket []byte
	length time.Duration
	keep   time.Duration
	values int // of one dimension in one period; more are counted together, as Other
}

// A busy period's counters of every dimension are a few kilobytes; these bounds keep a store of hostile names under some
// hundred megabytes.
var periods = [...]period{
	Minute: {bucket: []byte("minute"), length: time.Minute, keep: 48 * time.Hour, values: 100},
	Hour:   {bucket: []byte("hour"), length: time.Hour, keep: 90 * 24 * time.Hour, values: 200},
	Day:    {bucket: []byte("day"), length: 24 * time.Hour, keep: 2 * 365 * 24 * time.Hour, values: 500},
}

// Length is how long a period is.
func (s Step) Length() time.Duration { return periods[s].length }

// Keep is for how long periods are kept.
func (s Step) Keep() time.Duration { return periods[s].keep }

// appendPeriodKey appends what periodKey makes.
func appendPeriodKey(b []byte, start time.Time, dim Dimension, value string) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(max(0, start.Unix())))
	b = append(b, byte(dim))
	return append(b, value...)
}

// periodKey is when a period begins (Unix seconds, big-endian), the dimension and the value.
func periodKey(start time.Time, dim Dimension, value string) []byte {
	return appendPeriodKey(make([]byte, 0, 9+len(value)), start, dim, value)
}

func parsePeriodKey(key []byte) (start time.Time, dim Dimension, value string, ok bool) {
	if len(key) < 9 {
		return start, 0, "", false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(key)), 0).UTC(), Dimension(key[8]), string(key[9:]), true
}

// dimensions calls fn with every counter that an outcome adds to.
func (t *Tally) dimensions(fn func(Dimension, string)) {
	fn(All, "")
	each := func(d Dimension, value string) {
		if value == "" {
			return
		}
		if len(value) > maxValue {
			value = Other
		}
		fn(d, value)
	}
	each(ByRule, t.Rule)
	if t.Rule != "" {
		each(ByWebhook, t.Rule+"/"+t.Webhook)
	}
	each(ByEndpoint, t.Endpoint)
	each(ByType, t.EventType)
	each(ByKind, string(kindOf(t.Kind)))
}

// group is what a minute's outcomes of one sort come to.
type group struct {
	like Tally // at the minute's start
	cell cell
}

// groups adds a batch up: outcomes that count to the same counters come by the thousand, and each has six of them in three periods.
func groups(batch []Tally) []*group {
	type alike struct {
		minute                             int64
		rule, webhook, endpoint, eventType string
		kind                               delivery.Kind
	}
	var list []*group
	have := map[alike]*group{}
	for i := range batch {
		t := &batch[i]
		s := alike{t.Time.Unix() / 60, t.Rule, t.Webhook, t.Endpoint, t.EventType, t.Kind}
		g := have[s]
		if g == nil {
			g = &group{like: *t}
			g.like.Time = time.Unix(60*s.minute, 0).UTC()
			have[s] = g
			list = append(list, g)
		}
		g.cell.count(t)
	}
	return list
}

// addPeriods adds the outcomes to the counters of their minutes, hours and days, and forgets the periods that are too old.
func addPeriods(p *bolt.Bucket, batch []Tally, now time.Time) error {
	all := groups(batch)
	for i := range periods {
		pd := &periods[i]
		b, err := p.CreateBucketIfNotExists(pd.bucket)
		if err != nil {
			return err
		}
		oldest := now.Add(-pd.keep)
		cells := map[string]*cell{}
		var key []byte
		for _, g := range all {
			start := g.like.Time.Truncate(pd.length)
			if start.Before(oldest) {
				continue
			}
			g.like.dimensions(func(d Dimension, value string) {
				key = appendPeriodKey(key[:0], start, d, value)
				c := cells[string(key)]
				if c == nil {
					c = &cell{}
					cells[string(key)] = c
				}
				c.add(&g.cell)
			})
		}
		if err := putCells(b, pd, cells); err != nil {
			return err
		}
		if err := forget(b, oldest); err != nil {
			return err
		}
	}
	return nil
}

func putCells(b *bolt.Bucket, pd *period, cells map[string]*cell) error {
	for key, c := range cells {
		k := []byte(key)
		have := b.Get(k)
		if have == nil && len(k) > 9 && crowded(b, k[:9], pd.values) {
			k = append(k[:9:9], Other...)
			have = b.Get(k)
		}
		sum, err := decodeCell(have)
		if err != nil {
			return err
		}
		sum.add(c)
		if err := b.Put(k, sum.encode()); err != nil {
			return err
		}
	}
	return nil
}

// crowded tells whether a dimension has as many values in a period as it may.
func crowded(b *bolt.Bucket, prefix []byte, most int) bool {
	c := b.Cursor()
	n := 0
	for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		if n++; n >= most {
			return true
		}
	}
	return false
}

// forgetAtOnce bounds what one batch removes: a store that was not used for long must not stop for it.
const forgetAtOnce = 2000

func forget(b *bolt.Bucket, oldest time.Time) error {
	var old [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil && len(old) < forgetAtOnce; k, _ = c.Next() {
		start, _, _, ok := parsePeriodKey(k)
		if ok && !start.Before(oldest) {
			break
		}
		old = append(old, bytes.Clone(k))
	}
	for _, k := range old {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// checkPeriods reads every counter.
func checkPeriods(p *bolt.Bucket) error {
	for _, pd := range periods {
		b := p.Bucket(pd.bucket)
		if b == nil {
			continue
		}
		if err := b.ForEach(func(k, v []byte) error {
			if _, _, _, ok := parsePeriodKey(k); !ok {
				return ErrDamaged
			}
			_, err := decodeCell(v)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
