package store

import (
	bolt "go.etcd.io/bbolt"
)

// filter tells what the index certainly does not hold (a Bloom filter: Bloom, 1970), so that nearly every outcome is known to
// be new without a look at the index.
type filter struct {
	bits []uint64
	used int
	most int // entries for which it is made
}

const (
	// Of 32 bits an entry and 8 probes, 1 in 170,000 new outcomes needs a look at the index.
	filterBits   = 32
	filterProbes = 8
	filterLeast  = 1 << 16
)

func newFilter(entries int) *filter {
	most := filterLeast
	for most < entries {
		most *= 2
	}
	return &filter{bits: make([]uint64, most*filterBits/64), most: most}
}

// filterOf makes the filter of all that the index holds, with room for as much again.
func filterOf(tx *bolt.Tx, more int) (*filter, error) {
	st, err := readProjection(tx)
	if err != nil {
		return nil, err
	}
	f := newFilter(2*int(min(st.Rows, 1<<30)) + more)
	err = eachBlock(tx, 0, func(b rows) bool {
		for i := range b.len() {
			r := b.at(i)
			f.add(r.id, r.run, r.attempt)
		}
		return true
	})
	return f, err
}

// mix spreads an outcome's identity over 64 bits (the finalizer of splitmix64).
func mix(id uint64, run, attempt uint16) uint64 {
	z := id ^ uint64(run)<<32 ^ uint64(attempt)<<48
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (f *filter) each(id uint64, run, attempt uint16, fn func(word, bit uint64) bool) bool {
	h := mix(id, run, attempt)
	step := h>>32 | 1
	n := uint64(len(f.bits)) * 64 // a power of two
	for i := range uint64(filterProbes) {
		at := (h + i*step) & (n - 1)
		if !fn(at/64, 1<<(at%64)) {
			return false
		}
	}
	return true
}

func (f *filter) add(id uint64, run, attempt uint16) {
	f.used++
	f.each(id, run, attempt, func(word, bit uint64) bool {
		f.bits[word] |= bit
		return true
	})
}

// may tells whether it could have been added; false is certain.
func (f *filter) may(id uint64, run, attempt uint16) bool {
	return f.each(id, run, attempt, func(word, bit uint64) bool { return f.bits[word]&bit != 0 })
}

func (f *filter) full() bool { return f.used >= f.most }

// outcomeKey is an outcome's identity.
type outcomeKey struct {
	id           uint64
	run, attempt uint16
}

// indexed tells which of the outcomes the index holds: one pass for all of them.
func indexed(tx *bolt.Tx, suspects map[outcomeKey]bool) error {
	left := len(suspects)
	return eachBlock(tx, 0, func(b rows) bool {
		for i := range b.len() {
			r := b.at(i)
			k := outcomeKey{r.id, r.run, r.attempt}
			if found, is := suspects[k]; is && !found {
				suspects[k] = true
				left--
			}
		}
		return left > 0
	})
}

// unseen leaves out what has been counted already under the same id, in this batch or ever, as far as the index reaches.
func (x *indexer) unseen(tx *bolt.Tx, batch []Tally) ([]Tally, error) {
	suspects := map[outcomeKey]bool{}
	keys := make([]outcomeKey, len(batch))
	for i := range batch {
		if batch[i].ID == "" {
			continue
		}
		k := &keys[i]
		k.id, k.run, k.attempt = identity(batch[i].ID)
		if x.seen.may(k.id, k.run, k.attempt) {
			suspects[*k] = false
		}
		x.seen.add(k.id, k.run, k.attempt)
	}
	if len(suspects) > 0 {
		if err := indexed(tx, suspects); err != nil {
			return nil, err
		}
		fresh := batch[:0]
		for i, t := range batch {
			if counted, is := suspects[keys[i]]; is && t.ID != "" {
				if counted {
					continue
				}
				suspects[keys[i]] = true // the next of the same id is the second
			}
			fresh = append(fresh, t)
		}
		batch = fresh
	}
	if x.seen.full() {
		f, err := filterOf(tx, len(batch))
		if err != nil {
			return nil, err
		}
		for i := range batch {
			if batch[i].ID != "" {
				id, run, attempt := identity(batch[i].ID)
				f.add(id, run, attempt)
			}
		}
		x.seen = f
	}
	return batch, nil
}
