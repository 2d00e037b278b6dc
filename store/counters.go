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
		delivery.KindBlocked, delivery.KindRender, delivery.KindEvent, delivery.KindCancelled, KindOther}
)

func known(o delivery.Outcome) bool { return slices.Contains(outcomes, o) }

// kindOf bounds a kind: the text comes from the bus, and without a bound it could fill the store.
func kindOf(k delivery.Kind) delivery.Kind {
	if !slices.Contains(kinds, k) {
		return KindOther
	}
	return k
}

// bucketTotal holds the counts since the beginning, by outcome and kind, as numbers in decimal.
var bucketTotal = []byte("total")

// addTotals adds the outcomes to the counts since the beginning.
func addTotals(p *bolt.Bucket, batch []Tally) error {
	b, err := p.CreateBucketIfNotExists(bucketTotal)
	if err != nil {
		return err
	}
	sums := map[string]uint64{}
	for _, t := range batch {
		sums[string(t.Outcome)+"/"+string(kindOf(t.Kind))]++
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
	b := p.Bucket(bucketTotal)
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
