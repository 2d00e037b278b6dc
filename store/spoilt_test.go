//go:build !race

// One goroutine reads thousands of files here: the race detector would find nothing, and take three times as long.

package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

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

func noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
