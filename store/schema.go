package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The buckets of a store, each at the root of the file.
var (
	bucketMeta       = []byte("bellhop")    // schema, created, id: what makes the file a Bellhop store
	bucketVersions   = []byte("versions")   // number, 8 bytes big-endian -> versionRecord
	bucketSources    = []byte("sources")    // SHA-256 of the text -> the text, compressed
	bucketRules      = []byte("rules")      // state -> rulesState
	bucketProjection = []byte("projection") // state -> projectionState, and buckets of counters and of the index
)

// The keys of bucketMeta, whose shape no schema changes: every Bellhop must be able to tell an older or newer store.
var (
	keySchema  = []byte("schema")
	keyCreated = []byte("created")
	keyID      = []byte("id")
)

// keyState is the one record of bucketRules and of bucketProjection besides the counters.
var keyState = []byte("state")

// upgrade brings a store from one schema to the next, within the transaction that brings it up to date.
type upgrade func(*bolt.Tx) error

// schema is what this Bellhop knows of the file's layout: upgrades[i] leads from schema i+1 to i+2, so that there is one
// fewer of them than schemas.
type schema struct{ upgrades []upgrade }

func (sc schema) version() int { return len(sc.upgrades) + 1 }

// current is this Bellhop's schema. A step that adds to the projection also empties it, so that the bus is counted anew; the
// bus holds what the counters are made of, and the store does not.
var current = schema{upgrades: []upgrade{
	emptyProjection, // 2: counters by minute, hour and day, and the index
}}

func emptyProjection(tx *bolt.Tx) error {
	if err := tx.DeleteBucket(bucketProjection); err != nil {
		return err
	}
	_, err := tx.CreateBucket(bucketProjection)
	return err
}

// metadata is the part of bucketMeta that never changes.
type metadata struct {
	id      string
	created time.Time
}

// prepare reads the schema, creates a store or brings it up to date, and reads its metadata.
func (s *Store) prepare(sc schema) error {
	var have int
	err := s.view("open", func(tx *bolt.Tx) (err error) {
		have, s.meta, err = readMeta(tx)
		return err
	})
	switch {
	case err != nil:
		return err
	case have > sc.version():
		return fmt.Errorf("store %s was written by a newer Bellhop (schema %d, this one knows %d)",
			s.path, have, sc.version())
	case have == sc.version():
		return nil
	case s.readOnly && have == 0:
		return fmt.Errorf("store %s holds nothing yet: start the daemon once to set it up", s.path)
	case s.readOnly:
		return fmt.Errorf("store %s is of an older Bellhop (schema %d, this one reads %d): start the daemon once to bring it up to date",
			s.path, have, sc.version())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have == 0 {
		return s.update("create", func(tx *bolt.Tx) error { return s.create(tx, sc.version()) })
	}
	return s.update("upgrade", func(tx *bolt.Tx) error {
		for v := have; v < sc.version(); v++ {
			if err := sc.upgrades[v-1](tx); err != nil {
				return fmt.Errorf("from schema %d to %d: %w", v, v+1, err)
			}
		}
		return tx.Bucket(bucketMeta).Put(keySchema, []byte(strconv.Itoa(sc.version())))
	})
}

// readMeta gives schema 0 for a file that holds nothing yet.
func readMeta(tx *bolt.Tx) (int, metadata, error) {
	var m metadata
	b := tx.Bucket(bucketMeta)
	if b == nil {
		if k, _ := tx.Cursor().First(); k != nil {
			return 0, m, fmt.Errorf("%w: it is a bbolt file of another program", ErrDamaged)
		}
		return 0, m, nil
	}
	have, err := strconv.Atoi(string(b.Get(keySchema)))
	if err != nil || have < 1 {
		return 0, m, fmt.Errorf("%w: its schema reads %q", ErrDamaged, b.Get(keySchema))
	}
	if m.created, err = time.Parse(time.RFC3339Nano, string(b.Get(keyCreated))); err != nil {
		return 0, m, fmt.Errorf("%w: its time of creation: %w", ErrDamaged, err)
	}
	if m.id = string(b.Get(keyID)); m.id == "" {
		return 0, m, fmt.Errorf("%w: it has no id", ErrDamaged)
	}
	return have, m, nil
}

// create lays out a new store. A kill before its commit leaves a file that holds nothing, which is created again.
func (s *Store) create(tx *bolt.Tx, version int) error {
	// Without its monotonic part the time is the same now as when it is read again.
	s.meta = metadata{id: rand.Text(), created: s.now().UTC().Round(0)}
	var errs []error
	for _, name := range [][]byte{bucketMeta, bucketVersions, bucketSources, bucketRules, bucketProjection} {
		_, err := tx.CreateBucket(name)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	b := tx.Bucket(bucketMeta)
	return errors.Join(
		b.Put(keySchema, []byte(strconv.Itoa(version))),
		b.Put(keyCreated, []byte(s.meta.created.Format(time.RFC3339Nano))),
		b.Put(keyID, []byte(s.meta.id)),
	)
}

// bucket finds a bucket that every store has. The error stands for a nil bucket, whose use would be a panic.
func bucket(tx *bolt.Tx, name []byte) (*bolt.Bucket, error) {
	b := tx.Bucket(name)
	if b == nil {
		return nil, fmt.Errorf("%w: it has no %s", ErrDamaged, name)
	}
	return b, nil
}
