package testkit

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Unsynced is how many pages of a file are not on its disk yet: what a power cut could take. It is false where the kernel does not
// tell (Linux before 6.5).
func Unsynced(t testing.TB, path string) (pages uint64, known bool) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat unix.Cachestat_t
	switch err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0); {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP):
		return 0, false
	case err != nil:
		t.Fatalf("cachestat %s: %v", path, err)
	}
	return stat.Dirty + stat.Writeback, true
}
