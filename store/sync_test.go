package store

import (
	"path/filepath"
	"testing"

	"bellhop/internal/testkit"
)

// TestCommitsAreOnDisk: what a commit wrote is on the disk as it returns, not only in memory that a power cut takes.
func TestCommitsAreOnDisk(t *testing.T) {
	t.Parallel()
	// The kernel must be able to tell: a file system in memory has nothing to sync.
	spoil := dbPath(t)
	s := openStore(t, spoil, Options{})
	put(t, s, digestA, "rules: []")
	if n, known := testkit.Unsynced(t, spoil); !known || n == 0 {
		t.Skip("this kernel or file system does not tell what is not on disk yet")
	}

	path := filepath.Join(t.TempDir(), "synced.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	check := func(what string) {
		t.Helper()
		if n, _ := testkit.Unsynced(t, path); n != 0 {
			t.Errorf("%s left %d pages that are not on disk", what, n)
		}
	}
	check("Open")
	put(t, s, digestA, "rules: []")
	check("PutVersion")
	stream := StreamID{Name: "WEBHOOKS", Created: epoch}
	if err := s.Apply(stream, []Tally{tally(1, "delivered", "")}, 1); err != nil {
		t.Fatal(err)
	}
	check("Apply")
	put(t, s, digestB, "rules: [1]")
	rollback(t, s, 1)
	check("Rollback")
}
