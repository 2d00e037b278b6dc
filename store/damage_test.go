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

	bolt "go.etcd.io/bbolt"
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

func TestTruncatedFileIsAnError(t *testing.T) {
	content := sampleFile(t)
	path := dbPath(t)
	random := rand.New(rand.NewPCG(3, 4))
	var cuts []int
	for at := 1; at < len(content); at += 1 + random.IntN(8192) {
		cuts = append(cuts, at)
	}
	for at := 4096; at < len(content); at += 4096 {
		cuts = append(cuts, at)
	}
	used := usedPages(t, content) * os.Getpagesize()
	for _, at := range cuts {
		writeFile(t, path, content[:at])
		if err := survive(t, path); at < used && !errors.Is(err, ErrDamaged) {
			t.Errorf("Open of the first %d bytes of %d = %v, want ErrDamaged", at, used, err)
		}
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

func TestFlippedBitsNeverPanic(t *testing.T) {
	content := sampleFile(t)
	path := dbPath(t)
	random := rand.New(rand.NewPCG(5, 6))
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	pages := usedPages(t, content)
	sound := 0
	for range rounds {
		spoilt := bytes.Clone(content)
		for range 1 + random.IntN(3) {
			at := random.IntN(pages) * 4096
			if random.IntN(4) == 0 {
				at += random.IntN(4096)
			} else {
				at += random.IntN(96) // where the structure is
			}
			spoilt[at] ^= 1 << random.IntN(8)
		}
		writeFile(t, path, spoilt)
		if survive(t, path) == nil {
			sound++
		}
	}
	t.Logf("%d of %d spoilt files opened", sound, rounds)
}

func TestSpoiltPagesNeverPanic(t *testing.T) {
	content := sampleFile(t)
	path := dbPath(t)
	random := rand.New(rand.NewPCG(7, 8))
	for page := range usedPages(t, content) {
		for name, spoil := range map[string]func([]byte){
			"zeros":    func(p []byte) { clear(p) },
			"ones":     func(p []byte) { copy(p, bytes.Repeat([]byte{0xff}, len(p))) },
			"noise":    func(p []byte) { copy(p, noise(random, len(p))) },
			"contents": func(p []byte) { copy(p[16:], noise(random, len(p)-16)) },
			"another": func(p []byte) {
				at := 4096 * (2 + random.IntN(usedPages(t, content)-2))
				copy(p[8:], content[at+8:at+4096]) // another page under this one's number
			},
		} {
			spoilt := bytes.Clone(content)
			spoil(spoilt[page*4096 : (page+1)*4096])
			writeFile(t, path, spoilt)
			if err := survive(t, path); err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("Open with page %d overwritten with %s = %v, want ErrDamaged", page, name, err)
			}
		}
	}
}

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
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

// state is what a store holds, as text.
func state(t *testing.T, s *Store) string {
	t.Helper()
	stats, err := s.Stats()
	if err != nil {
		t.Fatal(err)
	}
	cursor, err := s.Cursor(stream)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(history(t, s), stats.Delivered, stats.Calls, cursor)
}

// A commit writes its pages first, in places that the state before does not use, and its header last. Whatever part of
// that is on the disk when the power goes, the store holds the state before or the state after.
func TestPowerCutLeavesTheStateBeforeOrAfter(t *testing.T) {
	path := dbPath(t)
	writeFile(t, path, sampleFile(t))
	random := rand.New(rand.NewPCG(9, 10))
	const sector = 512
	for round := range 8 {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := openStore(t, path, Options{KeepVersions: 50})
		was := state(t, s)
		if round%2 == 0 {
			put(t, s, fmt.Sprintf("ffff%08d", round), strings.Repeat("text", 1+random.IntN(10000)))
		} else {
			seq := uint64(1000 + round)
			apply(t, s, stream, seq, tally(seq, "delivered", ""))
		}
		is := state(t, s)
		closeStore(t, s)
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}

		for cut := range 40 {
			image := bytes.Clone(before)
			if len(after) > len(image) && random.IntN(2) == 0 {
				image = append(image, make([]byte, len(after)-len(image))...)
			}
			for at := 2 * 4096; at < len(image) && at < len(after); at += sector {
				if random.IntN(2) == 0 {
					copy(image[at:at+sector], after[at:])
				}
			}
			if cut%4 == 0 { // the pages are all there, the header is torn
				image = append(image[:2*4096], after[2*4096:]...)
				copy(image, after[:random.IntN(2*4096)])
			}
			copied := filepath.Join(t.TempDir(), "cut.db")
			writeFile(t, copied, image)
			s := openStore(t, copied, Options{})
			if got := state(t, s); got != was && got != is {
				t.Errorf("after power cut %d of commit %d: %s, want %s or %s", cut, round, got, was, is)
			}
			closeStore(t, s)
		}
	}
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

// TestVerifyAgreesWithBbolt makes sure that verification refuses nothing that bbolt wrote, other programs' files included.
func TestVerifyAgreesWithBbolt(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	for _, o := range []bolt.Options{{}, {NoFreelistSync: true}, {PageSize: 1024}, {PageSize: 16384, FreelistType: bolt.FreelistMapType}} {
		path := dbPath(t)
		o.NoSync = true
		for round := range 20 {
			db, err := bolt.Open(path, 0o600, &o)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bolt.Tx) error {
				for range 30 {
					b, err := tx.CreateBucketIfNotExists([]byte{byte(random.IntN(5))})
					if err != nil {
						return err
					}
					if b, err = b.CreateBucketIfNotExists([]byte{byte(random.IntN(5)), 1}); err != nil {
						return err
					}
					key := noise(random, 2+random.IntN(1+random.IntN(900)))
					if err := b.Put(key, noise(random, random.IntN(1+random.IntN(20000)))); err != nil {
						return err
					}
					if k, v := b.Cursor().Seek([]byte{byte(random.IntN(256))}); v != nil {
						if err := b.Delete(bytes.Clone(k)); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifyFile(bytes.NewReader(content), int64(len(content))); err != nil {
				t.Fatalf("verifyFile after round %d with pages of %d bytes = %v, want nil", round, o.PageSize, err)
			}
		}
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
