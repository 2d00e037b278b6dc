package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// versionRecord is a version as it is stored: with the key of its text instead of the text.
type versionRecord struct {
	Version
	Source string `json:"source"`
}

// rulesState is what the store remembers beside the versions.
type rulesState struct {
	Files       string `json:"files"`        // the digest of the rule files last put
	FilesSource string `json:"files_source"` // the key of their text, whose text may be gone
	FilesTexts  string `json:"files_texts"`  // the sum of their texts alone; "" where an older release put them
	Held        bool   `json:"held"`         // a rollback holds them off
}

// unchanged tells whether the files are, byte for byte, those that were last put, whatever folder they are read from.
func (st rulesState) unchanged(key, texts string) bool {
	if st.FilesTexts == "" {
		return st.FilesSource == key
	}
	return st.FilesTexts == texts
}

// putJSON writes a record.
func putJSON(tx *bolt.Tx, in, key []byte, record any) error {
	b, err := bucket(tx, in)
	if err != nil {
		return err
	}
	text, err := json.Marshal(record)
	if err != nil {
		return err
	}
	return b.Put(key, text)
}

// getJSON reads a record, and leaves it as it is where there is none.
func getJSON(tx *bolt.Tx, in, key []byte, record any) error {
	b, err := bucket(tx, in)
	if err != nil {
		return err
	}
	text := b.Get(key)
	if text == nil {
		return nil
	}
	if err := json.Unmarshal(text, record); err != nil {
		return fmt.Errorf("%w: a record of %s: %w", ErrDamaged, in, err)
	}
	return nil
}

func readRulesState(tx *bolt.Tx) (st rulesState, err error) {
	err = getJSON(tx, bucketRules, keyState, &st)
	return st, err
}

// numberKey sorts as numbers do.
func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func decodeVersion(key, text []byte) (versionRecord, error) {
	var r versionRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%w: the record of a version: %w", ErrDamaged, err)
	}
	if len(key) != 8 || binary.BigEndian.Uint64(key) != r.Number || r.Number == 0 || !isDigest(r.Digest) {
		return r, fmt.Errorf("%w: the record of version %d is not its own", ErrDamaged, r.Number)
	}
	return r, nil
}

func readVersion(tx *bolt.Tx, number uint64) (versionRecord, error) {
	b, err := bucket(tx, bucketVersions)
	if err != nil {
		return versionRecord{}, err
	}
	key := numberKey(number)
	text := b.Get(key)
	if text == nil {
		return versionRecord{}, noVersion(tx, fmt.Sprint(number))
	}
	return decodeVersion(key, text)
}

// currentVersion is the newest: a rollback is an entry of its own.
func currentVersion(tx *bolt.Tx) (versionRecord, error) {
	b, err := bucket(tx, bucketVersions)
	if err != nil {
		return versionRecord{}, err
	}
	key, text := b.Cursor().Last()
	if key == nil {
		return versionRecord{}, fmt.Errorf("%w: no rules were accepted yet", ErrNoVersion)
	}
	return decodeVersion(key, text)
}

// eachVersion calls fn with the versions, the newest first, until it gives false.
func eachVersion(tx *bolt.Tx, fn func(versionRecord) bool) error {
	b, err := bucket(tx, bucketVersions)
	if err != nil {
		return err
	}
	c := b.Cursor()
	for key, text := c.Last(); key != nil; key, text = c.Prev() {
		r, err := decodeVersion(key, text)
		if err != nil {
			return err
		}
		if !fn(r) {
			return nil
		}
	}
	return nil
}

// noVersion says which versions there are.
func noVersion(tx *bolt.Tx, ref string) error {
	var newest, oldest versionRecord
	err := eachVersion(tx, func(r versionRecord) bool {
		if newest.Number == 0 {
			newest = r
		}
		oldest = r
		return true
	})
	switch {
	case err != nil:
		return err
	case newest.Number == 0:
		return fmt.Errorf("%w: %s (no rules were accepted yet)", ErrNoVersion, ref)
	}
	return fmt.Errorf("%w: %s (the store keeps %d to %d)", ErrNoVersion, ref, oldest.Number, newest.Number)
}

// addVersion gives a record its number, makes it the current one and lets the oldest go.
func (s *Store) addVersion(tx *bolt.Tx, r versionRecord) (versionRecord, error) {
	b, err := bucket(tx, bucketVersions)
	if err != nil {
		return r, err
	}
	if r.Number, err = b.NextSequence(); err != nil {
		return r, err
	}
	r.At = r.At.UTC().Round(0)
	if err := writeVersion(tx, r); err != nil {
		return r, err
	}
	var gone []versionRecord
	kept := 0
	if err := eachVersion(tx, func(r versionRecord) bool {
		if kept++; kept > s.keep {
			gone = append(gone, r)
		}
		return true
	}); err != nil {
		return r, err
	}
	for _, old := range gone {
		if err := errors.Join(b.Delete(numberKey(old.Number)), dropSource(tx, old.Source)); err != nil {
			return r, err
		}
	}
	return r, nil
}

func writeVersion(tx *bolt.Tx, r versionRecord) error {
	return putJSON(tx, bucketVersions, numberKey(r.Number), r)
}

// putSource stores a text; nil stands for one that is there already.
func putSource(tx *bolt.Tx, key string, blob []byte) error {
	if blob == nil {
		return nil
	}
	b, err := bucket(tx, bucketSources)
	if err != nil {
		return err
	}
	return b.Put([]byte(key), blob)
}

// checkVersions reads every version and makes sure that each has its text, and each text a version.
func checkVersions(tx *bolt.Tx) error {
	if _, err := readRulesState(tx); err != nil {
		return err
	}
	sources, err := bucket(tx, bucketSources)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	var errs []error
	if err := eachVersion(tx, func(r versionRecord) bool {
		if !used[r.Source] {
			used[r.Source] = true
			if _, err := expand(r.Source, sources.Get([]byte(r.Source))); err != nil {
				errs = append(errs, fmt.Errorf("version %d: %w", r.Number, err))
			}
		}
		return true
	}); err != nil {
		return err
	}
	err = sources.ForEach(func(k, _ []byte) error {
		if !used[string(k)] {
			errs = append(errs, fmt.Errorf("the text %s belongs to no version", k))
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}
