package store

import (
	"errors"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// openSchema opens a store as a Bellhop would that knows these upgrades.
func openSchema(t *testing.T, path string, readOnly bool, upgrades ...upgrade) (*Store, error) {
	t.Helper()
	return open(path, Options{NoSync: true, ReadOnly: readOnly, Now: clock()}, schema{upgrades: upgrades})
}

// note is an upgrade that adds to a note in the store.
func note(text string) upgrade {
	return func(tx *bolt.Tx) error {
		b := tx.Bucket(bucketRules)
		return b.Put([]byte("note"), append(b.Get([]byte("note")), text...))
	}
}

func readNote(t *testing.T, s *Store) (text string) {
	t.Helper()
	if err := s.view("read", func(tx *bolt.Tx) error {
		text = string(tx.Bucket(bucketRules).Get([]byte("note")))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSchemaUpgrades(t *testing.T) {
	path := dbPath(t)
	s, err := openSchema(t, path, false)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, "aaaa00000001", "one")
	id := s.ID()
	closeStore(t, s)

	if _, err := openSchema(t, path, true, note("a")); err == nil || !strings.Contains(err.Error(), "older Bellhop (schema 1, this one reads 2)") {
		t.Errorf("reading an older store = %v, want that the daemon must bring it up to date", err)
	}

	broken := errors.New("no room")
	if _, err := openSchema(t, path, false, note("a"), func(*bolt.Tx) error { return broken }); !errors.Is(err, broken) ||
		!strings.Contains(err.Error(), "from schema 2 to 3") {
		t.Errorf("an upgrade that fails = %v, want its error and which step it was", err)
	}

	s, err = openSchema(t, path, false, note("b"), note("c"))
	if err != nil {
		t.Fatalf("Open of a store two schemas older = %v, want it upgraded", err)
	}
	if got := readNote(t, s); got != "bc" {
		t.Errorf("steps taken = %q, want %q: those of the failed upgrade undone, these in their order", got, "bc")
	}
	if v, err := s.Current(); err != nil || v.Digest != "aaaa00000001" || s.ID() != id {
		t.Errorf("after the upgrade: Current() = %v, %v, id %q, want aaaa00000001 and %q", v, err, s.ID(), id)
	}
	closeStore(t, s)

	if s, err = openSchema(t, path, false, note("d"), note("e")); err != nil {
		t.Fatal(err)
	}
	if got := readNote(t, s); got != "bc" {
		t.Errorf("steps taken after opening again = %q, want %q: each once", got, "bc")
	}
	closeStore(t, s)

	if s, err = openSchema(t, path, false, note("f"), note("g"), note("h")); err != nil {
		t.Fatal(err)
	}
	if got := readNote(t, s); got != "bch" {
		t.Errorf("steps taken one schema later = %q, want %q: the missing one", got, "bch")
	}
	closeStore(t, s)

	want := "store " + path + " was written by a newer Bellhop (schema 4, this one knows 2)"
	if _, err := openSchema(t, path, false, note("i")); err == nil || err.Error() != want {
		t.Errorf("Open of a newer store = %v, want %q", err, want)
	}
}

func TestNewStoreNeedsNoUpgrade(t *testing.T) {
	s, err := openSchema(t, dbPath(t), false, note("a"), note("b"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	if got := readNote(t, s); got != "" {
		t.Errorf("a new store takes the steps %q, want none: it is made as the newest schema is", got)
	}
}

func TestSchemaThatCannotBeRead(t *testing.T) {
	for name, spoil := range map[string]upgrade{
		"no number":   func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("two")) },
		"zero":        func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Put(keySchema, []byte("0")) },
		"no id":       func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyID) },
		"no creation": func(tx *bolt.Tx) error { return tx.Bucket(bucketMeta).Delete(keyCreated) },
		"no counts":   func(tx *bolt.Tx) error { return tx.DeleteBucket(bucketProjection) },
		"bad counts":  func(tx *bolt.Tx) error { return tx.Bucket(bucketProjection).Put(keyState, []byte("{")) },
	} {
		path := dbPath(t)
		s := openStore(t, path, Options{})
		s.mu.Lock()
		if err := s.update("spoil", spoil); err != nil {
			t.Fatal(err)
		}
		s.mu.Unlock()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path, Options{}); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "move the file away") {
			t.Errorf("Open of a store with %s = %v, want ErrDamaged with what to do", name, err)
		}
	}
}
