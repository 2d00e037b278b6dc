package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is the file of a store with everything in it: pages of branches, values longer than a page, free pages, small
// buckets within their record. It is made once, because many tests spoil copies of it.
var sample = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "bellhop-store")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "bellhop.db")
	s, err := Open(path, Options{NoSync: true, KeepVersions: 60, Now: clock()})
	if err != nil {
		return nil, err
	}
	if err := fill(s, 80); err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// fill puts n versions, counts as many outcomes, and rolls back.
func fill(s *Store, n int) error {
	noise := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		text := make([]byte, 100)
		if i%7 == 0 {
			text = make([]byte, 9000) // incompressible, and so over several pages
		}
		for j := range text {
			text[j] = byte(noise.Uint32())
		}
		seq := uint64(i + 1)
		if _, err := s.PutVersion(Version{Digest: fmt.Sprintf("%012x", i+1), Files: files(string(text))}); err != nil {
			return err
		}
		t := tally(seq, outcomes[i%len(outcomes)], kinds[i%len(kinds)])
		if err := s.Apply(stream, []Tally{t}, seq); err != nil {
			return err
		}
	}
	all, err := s.History()
	if err != nil {
		return err
	}
	_, err = s.Rollback(all[len(all)/2].Number)
	return err
}

func sampleFile(t testing.TB) []byte {
	t.Helper()
	content, err := sample()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// survive opens a file that may be damaged and does everything a daemon does. It may fail with an error; it may not
// panic, and a fault ends the process. It tells what Open said.
func survive(t testing.TB, path string) error {
	t.Helper()
	for _, readOnly := range []bool{true, false} {
		s, err := Open(path, Options{NoSync: true, ReadOnly: readOnly, KeepVersions: 50, Timeout: time.Millisecond})
		if err != nil {
			if inUse := (*InUseError)(nil); errors.As(err, &inUse) {
				t.Fatalf("a store that was closed keeps its lock: %v", err)
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("Open of a damaged file = %v, want an error with its path", err)
			}
			return err
		}
		if all, err := s.History(); err == nil {
			for i, v := range all {
				if readOnly && i%8 != 0 {
					continue // each once will do
				}
				_, _ = s.Get(strconv.FormatUint(v.Number, 10))
			}
		}
		_, _ = s.Get("0000")
		_, _ = s.Current()
		_, _ = s.Stats()
		if !readOnly {
			_, _ = s.PutVersion(Version{Digest: digestA, Files: files(strings.Repeat("one", 4000))})
			_ = s.Apply(stream, []Tally{tally(1<<40, "delivered", "")}, 1<<40)
			_, _ = s.Rollback(79)
			_ = s.Reset()
		}
		_ = s.Check()
		_ = s.Close()
	}
	return nil
}

func writeFile(t testing.TB, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSampleIsSound(t *testing.T) {
	path := dbPath(t)
	writeFile(t, path, sampleFile(t))
	s := openStore(t, path, Options{})
	if all, err := s.History(); err != nil || len(all) != 60 {
		t.Errorf("History() of the sample = %d entries, %v, want 60", len(all), err)
	}
	if err := survive(t, func() string { closeStore(t, s); return path }()); err != nil {
		t.Errorf("the sample = %v, want a sound store", err)
	}
}

// usedPages reads how many pages of a sound file are in use; the file may be longer.
func usedPages(t testing.TB, content []byte) int {
	t.Helper()
	h, err := readHeader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	return int(h.pages)
}

func TestFileCutShortUnderARunningStoreIsAnError(t *testing.T) {
	path := dbPath(t)
	writeFile(t, path, sampleFile(t))
	s, err := Open(path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := s.History(); !errors.Is(err, ErrDamaged) {
		t.Errorf("History() of a file cut short = %v, want ErrDamaged", err)
	}
	if err := s.Reset(); err == nil {
		t.Error("Reset() of a file cut short succeeds, want an error")
	}
	if err := s.Check(); !errors.Is(err, ErrDamaged) {
		t.Errorf("Check() of a file cut short = %v, want ErrDamaged", err)
	}
	_ = s.Close()
}

func TestCopiesTakenWhileWritingOpenOrSayWhy(t *testing.T) {
	path := dbPath(t)
	s := openStore(t, path, Options{KeepVersions: 10})
	if err := fill(s, 20); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for seq := uint64(100); ; seq++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := s.Apply(stream, []Tally{tally(seq, "delivered", "")}, seq); err != nil {
				t.Errorf("Apply(%d) = %v, want nil", seq, err)
				return
			}
			if _, err := s.PutVersion(Version{Digest: fmt.Sprintf("%012x", seq), Files: files(strings.Repeat("x", int(seq%9000)))}); err != nil {
				t.Errorf("PutVersion(%d) = %v, want nil", seq, err)
				return
			}
		}
	})
	opened := 0
	for i := range 60 {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), fmt.Sprint(i))
		writeFile(t, copied, content)
		switch err := survive(t, copied); {
		case err == nil:
			opened++
		case !errors.Is(err, ErrDamaged):
			t.Errorf("Open of a copy taken while writing = %v, want success or ErrDamaged", err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d of 60 copies opened", opened)
}

// countForever counts outcomes one by one, and says each that is committed.
func countForever(s *Store) error {
	seq, err := s.Cursor(stream)
	if err != nil {
		return err
	}
	for {
		seq++
		if err := s.Apply(stream, []Tally{tally(seq, "delivered", "")}, seq); err != nil {
			return err
		}
		if seq%3 == 0 {
			if _, err := s.PutVersion(Version{Digest: fmt.Sprintf("%012x", seq), Files: files(strings.Repeat("x", int(seq)))}); err != nil {
				return err
			}
		}
		if _, err := fmt.Println(seq); err != nil {
			return err
		}
	}
}

func TestKilledDaemonLosesNothingItCommitted(t *testing.T) {
	path := dbPath(t)
	for round := range 5 {
		cmd, out := startChild(t, "count", path)
		var said uint64
		for range 5 + 3*round {
			if !out.Scan() {
				t.Fatalf("the daemon stopped after %d: %v", said, out.Err())
			}
			n, err := strconv.ParseUint(out.Text(), 10, 64)
			if err != nil {
				t.Fatalf("the daemon says %q, want a number", out.Text())
			}
			said = n
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		s := openStore(t, path, Options{Timeout: 30 * time.Second})
		cursor, err := s.Cursor(stream)
		stats, statsErr := s.Stats()
		if err != nil || statsErr != nil || cursor < said || stats.Delivered != cursor {
			t.Errorf("after kill %d: cursor %d, %v, %d delivered, %v; want both the same, and %d at least", round, cursor, err,
				stats.Delivered, statsErr, said)
		}
		closeStore(t, s)
	}
}

func FuzzOpen(f *testing.F) {
	content := sampleFile(f)
	f.Add(uint32(0), uint32(16), []byte{0})
	f.Add(uint32(2), uint32(8), []byte{1, 0, 0xff, 0xff})
	f.Add(uint32(5), uint32(20), []byte{0xff, 0xff, 0xff, 0x7f})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, page, at uint32, patch []byte) {
		spoilt := bytes.Clone(content)
		offset := int(page)%usedPages(t, content)*4096 + int(at)%4096
		copy(spoilt[offset:], patch)
		path := filepath.Join(dir, "fuzz.db")
		writeFile(t, path, spoilt)
		_ = survive(t, path)
	})
}
