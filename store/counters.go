package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	bolt "go.etcd.io/bbolt"

	"bellhop/dispatcher/delivery"
)

// KindOther stands for the kinds of errors that this Bellhop does not know.
const KindOther delivery.Kind = "other"

var (
	outcomes = []delivery.Outcome{delivery.Delivered, delivery.Retrying, delivery.Failed, delivery.Rejected}
	kinds    = []delivery.Kind{"", delivery.KindTimeout, delivery.KindNetwork, delivery.KindTLS, delivery.KindStatus,
		delivery.KindBlocked, delivery.KindRender, delivery.KindEvent, delivery.KindCancelled}
)

func known(o delivery.Outcome) bool { return slices.Contains(outcomes, o) }

// series is one way of counting: a bucket within bucketProjection whose keys say what was counted, and whose values are
// numbers in decimal. Another, by minute or by webhook, is another entry of allSeries, and a step of the schema.
type series struct {
	name []byte
	// key tells which counter an outcome adds to. There must be few: a batch costs a read and a write of each it meets.
	key func(Tally) string
}

var totals = series{name: []byte("total"), key: func(t Tally) string {
	kind := t.Kind
	if !slices.Contains(kinds, kind) {
		// The text comes from the bus; without a bound it could fill the store.
		kind = KindOther
	}
	return string(t.Outcome) + "/" + string(kind)
}}

var allSeries = []series{totals}

// addCounts adds the outcomes to every series.
func addCounts(tx *bolt.Tx, batch []Tally) error {
	if len(batch) == 0 {
		return nil
	}
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return err
	}
	for _, sr := range allSeries {
		b, err := p.CreateBucketIfNotExists(sr.name)
		if err != nil {
			return err
		}
		sums := map[string]uint64{}
		for _, t := range batch {
			sums[sr.key(t)]++
		}
		for key, n := range sums {
			have, err := parseCount(b.Get([]byte(key)))
			if err != nil {
				return err
			}
			if err := b.Put([]byte(key), strconv.AppendUint(nil, have+n, 10)); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseCount reads a counter; one that is not there stands at 0.
func parseCount(text []byte) (uint64, error) {
	if text == nil {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: a count reads %q", ErrDamaged, text)
	}
	return n, nil
}

// readTotals gives the totals in the order of their keys.
func readTotals(tx *bolt.Tx) ([]Count, error) {
	p, err := bucket(tx, bucketProjection)
	if err != nil {
		return nil, err
	}
	b := p.Bucket(totals.name)
	if b == nil {
		return nil, nil
	}
	var counts []Count
	err = b.ForEach(func(k, text []byte) error {
		n, err := parseCount(text)
		if err != nil {
			return err
		}
		outcome, kind, _ := strings.Cut(string(k), "/")
		counts = append(counts, Count{Outcome: delivery.Outcome(outcome), Kind: delivery.Kind(kind), N: n})
		return nil
	})
	return counts, err
}
