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

// prefixLength is the length of a period's key without the value.
const prefixLength = 9

func appendPeriodStart(b []byte, start time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(max(0, start.Unix())))
}

// periodKey is when a period begins (Unix seconds, big-endian), the dimension and the value.
func periodKey(start time.Time, dim Dimension, value string) []byte {
	b := appendPeriodStart(make([]byte, 0, prefixLength+len(value)), start)
	return append(append(b, byte(dim)), value...)
}

func parsePeriodKey(key []byte) (start time.Time, dim Dimension, value string, ok bool) {
	if len(key) < prefixLength {
		return start, 0, "", false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(key)), 0).UTC(), Dimension(key[8]), string(key[prefixLength:]), true
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

// counter is what a batch adds to one value of a dimension within a minute.
type counter struct {
	start time.Time // of the minute
	of    string    // the dimension and the value, as in a period's key
	cell  *cell
}

// counters spreads groups over the counters of their minutes.
func counters(all []*group) []counter {
	list := make([]counter, 0, 4*len(all))
	type minuteOf struct {
		start int64
		of    string
	}
	have := make(map[minuteOf]int, 4*len(all))
	var of []byte
	for _, g := range all {
		g.like.dimensions(func(d Dimension, value string) {
			of = append(append(of[:0], byte(d)), value...)
			if i, ok := have[minuteOf{g.like.Time.Unix(), string(of)}]; ok {
				list[i].cell.add(&g.cell)
				return
			}
			c := counter{g.like.Time, string(of), &cell{}}
			c.cell.add(&g.cell)
			have[minuteOf{c.start.Unix(), c.of}] = len(list)
			list = append(list, c)
		})
	}
	return list
}

// addPeriods adds the outcomes to the counters of their minutes, hours and days, and forgets the periods that are too old.
func addPeriods(p *bolt.Bucket, batch []Tally, now time.Time) error {
	list := counters(groups(batch))
	for i := range periods {
		pd := &periods[i]
		b, err := p.CreateBucketIfNotExists(pd.bucket)
		if err != nil {
			return err
		}
		oldest := now.Add(-pd.keep)
		if err := putCells(b, pd, list, oldest); err != nil {
			return err
		}
		if err := forget(b, oldest); err != nil {
			return err
		}
	}
	return nil
}

// putCells adds minutes' counters to the stored ones of the periods that they are in, but for those that began before oldest. Values of a
// dimension that has as many in its period as it may are added up first: a batch may bring thousands of them.
func putCells(b *bolt.Bucket, pd *period, list []counter, oldest time.Time) error {
	values := map[string]int{} // by when the period begins and the dimension
	others := map[string]*cell{}
	var key []byte
	for _, c := range list {
		start := c.start.Truncate(pd.length)
		if start.Before(oldest) {
			continue
		}
		key = append(appendPeriodStart(key[:0], start), c.of...)
		have := b.Get(key)
		if of := key[:prefixLength]; have == nil && len(key) > prefixLength {
			n, counted := values[string(of)]
			if !counted {
				n = countValues(b, of, pd.values)
			}
			if n >= pd.values {
				values[string(of)] = n
				if others[string(of)] == nil {
					others[string(of)] = &cell{}
				}
				others[string(of)].add(c.cell)
				continue
			}
			values[string(of)] = n + 1
		}
		if err := putCell(b, key, have, c.cell); err != nil {
			return err
		}
	}
	for of, c := range others {
		key = append(append(key[:0], of...), Other...)
		if err := putCell(b, key, b.Get(key), c); err != nil {
			return err
		}
	}
	return nil
}

// putCell adds a cell to what is stored under its key, nil where nothing is.
func putCell(b *bolt.Bucket, key, have []byte, c *cell) error {
	sum, err := decodeCell(have)
	if err != nil {
		return err
	}
	sum.add(c)
	return b.Put(key, sum.encode())
}

// countValues counts a dimension's values in a period, up to a number.
func countValues(b *bolt.Bucket, prefix []byte, most int) (n int) {
	c := b.Cursor()
	for k, _ := c.Seek(prefix); k != nil && n < most && bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		n++
	}
	return n
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
